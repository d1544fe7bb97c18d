//! The keys behind agents' tokens and spec hashes: HMACs, so that there is nothing to store per Workspace.

use std::sync::{Arc, RwLock};

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Calls of the registry by the agent in the box.
    Workspace,
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

/// Up to two keys, one of them current.
#[derive(Clone)]
pub struct Keyring {}

impl Keyring {
    /// The id of the key that new tokens are made with.
    pub fn current(&self) -> &str {
        todo!()
    }
    /// Whether a key of this id is there.
    pub fn contains(&self, key_id: &str) -> bool {
        todo!()
    }
    /// `v1.<key id>.<purpose>.<uid>.<attempt>.<mac>`; `None` when there is no such key.
    pub fn token(&self, key_id: &str, purpose: Purpose, uid: &str, attempt: i64) -> Option<String> {
        todo!()
    }
    /// What a token says, if one of the keys made it. Constant time.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        todo!()
    }
    /// A keyed hash of a text, 32 lower-case hex digits; `None` when there is no such key.
    pub fn hash(&self, key_id: &str, text: &[u8]) -> Option<String> {
        todo!()
    }
}

/// The keyring of this process: empty until the Secret was read. Clones share it.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<Option<Arc<Keyring>>>>);

impl Keys {
    /// The keyring, if it was read.
    pub fn get(&self) -> Option<Arc<Keyring>> {
        todo!()
    }
    /// Replaces the keyring.
    pub fn set(&self, keyring: Option<Keyring>) {
        todo!()
    }
}
