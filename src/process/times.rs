//! Lengths of time as people write them in flags and files.

use std::time::Duration;

/// Reads a length of time: `250ms`, `30s`, `5m` or `1h`. Not zero.
///
/// # Errors
/// When the text is no such time; says what to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("give a number with ms, s, m or h, such as 30s".into()),
    };
    let number: u64 =
        number.parse().map_err(|_| "give a number with ms, s, m or h, such as 30s".to_owned())?;
    match number.checked_mul(millis) {
        None | Some(0) => Err("give a time that is longer than nothing and fits a 64-bit number".into()),
        Some(millis) => Ok(Duration::from_millis(millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let read = |text: &str| duration(text).map(|d| d.as_millis());
        assert_eq!(read("250ms"), Ok(250));
        assert_eq!(read("30s"), Ok(30_000));
        assert_eq!(read("5m"), Ok(300_000));
        assert_eq!(read("1h"), Ok(3_600_000));
        for bad in
            ["", "30", "s", "0s", "-1s", "1.5s", "1d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
