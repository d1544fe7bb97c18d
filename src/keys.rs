//! The keys behind agents' tokens and spec hashes: HMACs, so that there is nothing to store per Workspace.
//!
//! They live in one Secret: the key `current` names the id of the key that new tokens are made with, and each
//! `key-<id>` holds a key of at least 32 bytes. Up to two are valid at a time, so that a rotation can wait
//! until no live box holds a token of the older one.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::ByteString;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// The entry of the Secret that names the current key's id.
const CURRENT: &str = "current";
/// What precedes a key's id in the names of the Secret's entries.
const KEY_PREFIX: &str = "key-";
/// The shortest key, in bytes: as long as the hash.
const KEY_MIN_BYTES: usize = 32;
/// How many keys may be valid at a time.
const KEYS_MAX: usize = 2;
/// The longest id of a key: it stands in every token and in `status.launch.keyID`.
const ID_MAX_BYTES: usize = 32;
/// What keeps a spec hash from ever being the MAC of a token.
const HASH_DOMAIN: &[u8] = b"hash\0";
/// How many bytes of a keyed hash are kept.
const HASH_BYTES: usize = 16;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Calls of the registry by the agent in the box.
    Workspace,
    /// The calls of a box that has no files yet: its boot stages and its bundle.
    Bootstrap,
}

impl Purpose {
    /// The word in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Bootstrap => "bootstrap",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Workspace, Self::Bootstrap].into_iter().find(|purpose| purpose.as_str() == word)
    }
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// What it is good for.
    pub purpose: Purpose,
    /// The Workspace's uid.
    pub uid: String,
    /// The launch attempt.
    pub attempt: i64,
}

/// What is wrong with the Secret of keys, and which entry of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No key is named as current.
    #[error("the entry `current` is missing: it must name the id of the key that new tokens are made with")]
    NoCurrent,
    /// An id that cannot stand in a token.
    #[error("the entry `{entry}` has or names an id that is not 1 to 32 of a-z, 0-9 and `-`")]
    BadId {
        /// The entry of the Secret.
        entry: String,
    },
    /// The current key is not there.
    #[error("the entry `{entry}` is missing, and `current` names it")]
    Missing {
        /// The entry of the Secret.
        entry: String,
    },
    /// A key that is too short.
    #[error("the entry `{entry}` is {bytes} bytes long: a key has at least 32")]
    TooShort {
        /// The entry of the Secret.
        entry: String,
        /// Its length.
        bytes: usize,
    },
    /// More keys than may be valid at a time.
    #[error("there are {count} keys ({entries}): at most two may be valid; remove the one no box uses")]
    TooMany {
        /// How many there are.
        count: usize,
        /// Their entries.
        entries: String,
    },
}

/// Up to two keys, one of them current.
#[derive(Clone)]
pub struct Keyring {
    current: String,
    keys: BTreeMap<String, Hmac<Sha256>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.keys().collect();
        f.debug_struct("Keyring").field("current", &self.current).field("ids", &ids).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads the data of the Secret. Entries that are neither `current` nor `key-<id>` are ignored.
    ///
    /// # Errors
    /// When an entry is missing or wrong; the error names it.
    pub fn from_secret_data(data: &BTreeMap<String, ByteString>) -> Result<Self, KeyringError> {
        let current = data.get(CURRENT).ok_or(KeyringError::NoCurrent)?;
        // An editor or `echo` leaves a line end behind the id.
        let current = String::from_utf8_lossy(&current.0).trim().to_owned();
        if !is_id(&current) {
            return Err(KeyringError::BadId { entry: CURRENT.into() });
        }
        let mut keys = BTreeMap::new();
        for (entry, bytes) in data {
            let Some(id) = entry.strip_prefix(KEY_PREFIX) else { continue };
            if !is_id(id) {
                return Err(KeyringError::BadId { entry: entry.clone() });
            }
            let short = || KeyringError::TooShort { entry: entry.clone(), bytes: bytes.0.len() };
            if bytes.0.len() < KEY_MIN_BYTES {
                return Err(short());
            }
            keys.insert(id.to_owned(), Hmac::new_from_slice(&bytes.0).map_err(|_| short())?);
        }
        if !keys.contains_key(&current) {
            return Err(KeyringError::Missing { entry: format!("{KEY_PREFIX}{current}") });
        }
        if keys.len() > KEYS_MAX {
            let entries: Vec<_> = keys.keys().map(|id| format!("{KEY_PREFIX}{id}")).collect();
            return Err(KeyringError::TooMany { count: keys.len(), entries: entries.join(", ") });
        }
        Ok(Self { current, keys })
    }

    /// The data of a new Secret with one new key under a new id.
    pub fn generate() -> BTreeMap<String, ByteString> {
        let id = HEXLOWER.encode(&rand::random::<[u8; 4]>());
        let key: [u8; KEY_MIN_BYTES] = rand::random();
        BTreeMap::from([
            (format!("{KEY_PREFIX}{id}"), ByteString(key.to_vec())),
            (CURRENT.to_owned(), ByteString(id.into_bytes())),
        ])
    }

    /// The id of the key that new tokens are made with.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Whether a key of this id is there.
    pub fn contains(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// `v1.<key id>.<purpose>.<uid>.<attempt>.<mac>`; `None` when there is no such key.
    pub fn token(&self, key_id: &str, purpose: Purpose, uid: &str, attempt: i64) -> Option<String> {
        let said = format!("v1.{key_id}.{}.{uid}.{attempt}", purpose.as_str());
        let mac = self.mac(key_id, &[said.as_bytes()])?.finalize().into_bytes();
        Some(format!("{said}.{}", BASE64URL_NOPAD.encode(&mac)))
    }

    /// What a token says, if one of the keys made it. The MAC is compared in constant time, before anything
    /// else of the token is believed.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        let (said, mac) = token.rsplit_once('.')?;
        let parts: Vec<&str> = said.split('.').collect();
        let ["v1", key_id, purpose, uid, attempt] = parts[..] else { return None };
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?;
        self.mac(key_id, &[said.as_bytes()])?.verify_slice(&mac).ok()?;
        Some(Claims {
            purpose: Purpose::parse(purpose)?,
            uid: uid.to_owned(),
            attempt: attempt.parse().ok()?,
        })
    }

    /// A keyed hash of a text, 32 lower-case hex digits; `None` when there is no such key.
    pub fn hash(&self, key_id: &str, text: &[u8]) -> Option<String> {
        let mac = self.mac(key_id, &[HASH_DOMAIN, text])?.finalize().into_bytes();
        Some(HEXLOWER.encode(&mac[..HASH_BYTES]))
    }

    fn mac(&self, key_id: &str, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = self.keys.get(key_id)?.clone();
        for part in parts {
            mac.update(part);
        }
        Some(mac)
    }
}

/// Whether a text can be the id of a key: it must not hold the dot that separates the parts of a token.
fn is_id(text: &str) -> bool {
    (1..=ID_MAX_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The keyring of this process: empty until the Secret was read. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Keys(Arc<RwLock<Option<Arc<Keyring>>>>);

impl Keys {
    /// The keyring, if it was read.
    pub fn get(&self) -> Option<Arc<Keyring>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the keyring.
    pub fn set(&self, keyring: Option<Keyring>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keyring.map(Arc::new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    fn data(entries: &[(&str, &[u8])]) -> BTreeMap<String, ByteString> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.to_vec()))).collect()
    }

    fn ring() -> Keyring {
        Keyring::from_secret_data(&data(&[
            ("current", b"b"),
            ("key-a", &[1; 32]),
            ("key-b", b"0123456789abcdef0123456789abcdef"),
        ]))
        .unwrap()
    }

    /// Computed apart from this code:
    /// `printf %s v1.b.workspace.<uid>.3 | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef`.
    #[test]
    fn tokens_and_hashes_match_known_vectors() {
        let token = ring().token("b", Purpose::Workspace, UID, 3).unwrap();
        assert_eq!(token, format!("v1.b.workspace.{UID}.3.hCoXRPr3CqyCZl04v3p7DIR24FOA9pt6tSKHlDq5JEQ"));
        assert_eq!(ring().hash("b", b"spec").unwrap(), "fcfcfbf0fbd2a03b93f4a066cee9b3ee");
    }

    #[test]
    fn a_token_of_either_key_is_good_and_says_what_it_was_made_for() {
        for purpose in [Purpose::Workspace, Purpose::Bootstrap] {
            let claims = Claims { purpose, uid: UID.into(), attempt: 3 };
            for id in ["a", "b"] {
                let token = ring().token(id, purpose, UID, 3).unwrap();
                assert_eq!(ring().verify(&token), Some(claims.clone()));
            }
        }
        assert_eq!(ring().token("c", Purpose::Workspace, UID, 3), None);
        assert_eq!(ring().hash("c", b""), None);
    }

    #[test]
    fn a_token_of_another_key_of_the_same_id_is_refused() {
        let other = Keyring::from_secret_data(&data(&[("current", b"b"), ("key-b", &[7; 32])])).unwrap();
        let token = other.token("b", Purpose::Workspace, UID, 3).unwrap();
        assert_eq!(ring().verify(&token), None);
    }

    #[test]
    fn what_was_changed_or_is_no_token_is_refused() {
        let token = ring().token("b", Purpose::Workspace, UID, 3).unwrap();
        for bad in [
            String::new(),
            "v1".into(),
            ".....".into(),
            token.replace("v1.", "v2."),
            token.replace(".3.", ".4."),
            token.replace(".3.", ".03."),
            token.replace(".b.", ".a."),
            token.replace(".b.", ".c."),
            token.replace("workspace", "bootstrap"),
            token.replace("0f8f", "0f8e"),
            format!("{token}="),
            format!("{token}.x"),
            token[..token.len() - 1].to_owned(),
            token.rsplit_once('.').unwrap().0.to_owned() + ".",
        ] {
            assert_eq!(ring().verify(&bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_change_of_a_byte_goes_unseen(at in 0usize..90, byte in 0u8..128) {
            let token = ring().token("b", Purpose::Workspace, UID, 3).unwrap();
            let mut bytes = token.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(ring().verify(&changed).is_some(), changed == token);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            prop_assert_eq!(ring().verify(&text), None);
        }
    }

    #[test]
    fn a_wrong_secret_is_refused_by_the_name_of_its_entry() {
        let key = [1u8; 32];
        for (entries, named) in [
            (data(&[("key-a", &key)]), "`current`"),
            (data(&[("current", b""), ("key-a", &key)]), "`current`"),
            (data(&[("current", b"A.b"), ("key-a", &key)]), "`current`"),
            (data(&[("current", b"\xff"), ("key-a", &key)]), "`current`"),
            (data(&[("current", b"b"), ("key-a", &key)]), "`key-b`"),
            (data(&[("current", b"a"), ("key-a", &key[..31])]), "`key-a`"),
            (data(&[("current", b"a"), ("key-a", &key), ("key-B.c", &key)]), "`key-B.c`"),
            (data(&[("current", b"a"), ("key-a", &key), ("key-b", &key), ("key-c", &key)]), "key-c"),
        ] {
            let error = Keyring::from_secret_data(&entries).unwrap_err().to_string();
            assert!(error.contains(named), "{error} does not name {named}");
        }
        let trailing = data(&[("current", b"a\n"), ("key-a", &key), ("note", b"kept")]);
        assert_eq!(Keyring::from_secret_data(&trailing).unwrap().current(), "a");
    }

    #[test]
    fn a_new_secret_is_usable_and_never_the_same() {
        let (one, two) = (Keyring::generate(), Keyring::generate());
        assert_ne!(one, two);
        let ring = Keyring::from_secret_data(&one).unwrap();
        let token = ring.token(ring.current(), Purpose::Workspace, UID, 1).unwrap();
        assert!(ring.verify(&token).is_some());
        assert_eq!(Keyring::from_secret_data(&two).unwrap().verify(&token), None);
    }

    #[test]
    fn no_key_is_ever_printed() {
        let keys = Keys::default();
        assert!(keys.get().is_none());
        keys.set(Some(ring()));
        let printed = format!("{keys:?} {:?}", keys.get().unwrap());
        assert!(printed.contains("\"a\", \"b\""), "{printed}");
        assert!(!printed.contains("0123456789abcdef") && !printed.contains("1, 1, 1"), "{printed}");
    }

    #[test]
    fn a_hash_is_never_part_of_a_token() {
        let token = ring().token("b", Purpose::Workspace, UID, 3).unwrap();
        let (said, mac) = token.rsplit_once('.').unwrap();
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).unwrap();
        assert_ne!(ring().hash("b", said.as_bytes()).unwrap(), HEXLOWER.encode(&mac[..HASH_BYTES]));
    }
}
