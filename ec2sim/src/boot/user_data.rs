//! The header of user-data: assignments that a shell would make, read without running anything.

use std::collections::BTreeMap;

/// Where the registry is, as the box calls it.
const PLATFORM_URL: &str = "ATELIER_PLATFORM_URL";
const WORKSPACE_ID: &str = "ATELIER_WORKSPACE_ID";
const BOOTSTRAP_TOKEN: &str = "ATELIER_BOOTSTRAP_TOKEN";
const IMAGE: &str = "ATELIER_IMAGE";

/// What a scripted boot needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Base URL of the registry.
    pub platform_url: String,
    /// The Workspace's uid.
    pub workspace_id: String,
    /// Good for boot stages and the bundle.
    pub bootstrap_token: String,
    /// The image that would run.
    pub image: String,
}

impl Header {
    /// Reads a script: `#!/bin/sh`, then lines of `KEY='value'` up to the first line that is something else.
    ///
    /// # Errors
    /// A text for people that names what is missing.
    pub fn parse(user_data: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(user_data).map_err(|_| "the user-data is no text".to_owned())?;
        let body = text
            .strip_prefix("#!/bin/sh")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or("the user-data does not begin with the line #!/bin/sh")?
            .1;
        let mut known = assignments(body);
        let mut take = |name: &str| {
            let value = known.remove(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the header of the user-data does not set {name}"))
        };
        Ok(Self {
            platform_url: take(PLATFORM_URL)?.trim_end_matches('/').to_owned(),
            workspace_id: take(WORKSPACE_ID)?,
            bootstrap_token: take(BOOTSTRAP_TOKEN)?,
            image: take(IMAGE)?,
        })
    }
}

fn assignments(mut text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    loop {
        text = text.trim_start();
        if text.starts_with('#') {
            text = text.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let Some((name, rest)) = text.split_once('=') else { return found };
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let Some((value, rest)) = is_name.then(|| word(rest)).flatten() else { return found };
        found.insert(name.to_owned(), value);
        text = rest;
    }
}

/// A shell's word of quoted, plain and escaped parts, and what follows its line. None: it is more than that.
fn word(mut text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    loop {
        let mut chars = text.chars();
        match chars.next() {
            None => return Some((value, "")),
            Some('\n') => return Some((value, chars.as_str())),
            Some('\'') => {
                let (part, rest) = chars.as_str().split_once('\'')?;
                value.push_str(part);
                text = rest;
            }
            Some('\\') => {
                value.push(chars.next()?);
                text = chars.as_str();
            }
            Some(c) if c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c) => {
                value.push(c);
                text = chars.as_str();
            }
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_a_shell_reads_it() {
        let script = "#!/bin/sh\n# made by Atelier\nATELIER_PLATFORM_URL='http://10.0.0.1:8090/'\n\
                      ATELIER_WORKSPACE_ID='u-1'\nATELIER_BOOTSTRAP_TOKEN='it'\\''s'\nATELIER_IMAGE=agent:1\n\
                      ATELIER_MORE='two\nlines'\nset -eu\nATELIER_WORKSPACE_ID='u-2'\n";
        let header = Header::parse(script.as_bytes()).unwrap();
        let expected = Header {
            platform_url: "http://10.0.0.1:8090".into(),
            workspace_id: "u-1".into(),
            bootstrap_token: "it's".into(),
            image: "agent:1".into(),
        };
        assert_eq!(header, expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (script, word) in [
            ("echo", "#!/bin/sh"),
            ("#!/bin/sh\nset -e\nATELIER_PLATFORM_URL='x'\n", "ATELIER_PLATFORM_URL"),
            ("#!/bin/sh\nATELIER_PLATFORM_URL='x'\nATELIER_WORKSPACE_ID=$(id)\n", "ATELIER_WORKSPACE_ID"),
        ] {
            let error = Header::parse(script.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
