//! Which account EC2 answers for, and whether it answers at all.

use super::ec2::Ec2;
use super::faults::Fault;
use super::settings::Settings;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is known of the account. It is learnt from the owner of subnets, or said in the settings.
#[derive(Debug)]
pub struct Account {
    configured: Option<String>,
    subnets: Vec<String>,
    fresh_for: Duration,
    asked: Mutex<Option<(Instant, Result<String, Fault>)>>,
    known: Mutex<Option<String>>,
}

impl Account {
    /// Nothing was asked yet.
    pub fn new(settings: &Settings) -> Self {
        let defaults = settings.defaults.iter().map(|defaults| &defaults.subnet_id);
        let mut subnets: Vec<_> = settings.allow.subnets.iter().chain(defaults).cloned().collect();
        subnets.sort();
        subnets.dedup();
        // A filter takes no more.
        subnets.truncate(200);
        Self {
            configured: settings.account_id.clone(),
            subnets,
            fresh_for: settings.periods.ready_for,
            asked: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// The account, as last heard.
    pub fn known(&self) -> Option<String> {
        self.configured.clone().or_else(|| lock(&self.known).clone())
    }

    /// Asks EC2, whatever is known.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn ask(&self, ec2: &Ec2) -> Result<String, Fault> {
        let result = ec2.subnets(self.subnets.clone()).await.map(|(_, owner)| self.learn(&owner));
        *lock(&self.asked) = Some((Instant::now(), result.clone()));
        result
    }

    /// The account; asked for where it is not known yet.
    ///
    /// # Errors
    /// When EC2 does not answer, or refuses.
    pub async fn id(&self, ec2: &Ec2) -> Result<String, Fault> {
        match self.known() {
            Some(known) => Ok(known),
            None => self.ask(ec2).await,
        }
    }

    /// Whether credentials and Region work: asked for at most once in a while.
    ///
    /// # Errors
    /// When EC2 does not answer, or refuses.
    pub async fn ready(&self, ec2: &Ec2) -> Result<(), Fault> {
        let asked = lock(&self.asked).clone();
        if let Some((at, result)) = asked
            && at.elapsed() < self.fresh_for
        {
            return result.map(drop);
        }
        self.ask(ec2).await.map(drop)
    }

    /// The account that a reservation is in: it must be the one that is known.
    ///
    /// # Errors
    /// When it is another.
    pub fn check(&self, owner: &str) -> Result<(), Fault> {
        match self.known() {
            Some(known) if !owner.is_empty() && !known.is_empty() && known != owner => {
                Err(Fault::wrong_account(&known, owner))
            }
            _ => Ok(()),
        }
    }

    /// Takes note of an owner. What the settings say goes before it.
    pub fn learn(&self, owner: &str) -> String {
        if !owner.is_empty() {
            *lock(&self.known) = Some(owner.to_owned());
        }
        self.known().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::settings;
    use super::*;

    #[test]
    fn another_account_is_noticed() {
        let account = Account::new(&settings());
        assert_eq!((account.known(), account.check("2")), (None, Ok(())));
        assert_eq!(account.learn("1"), "1");
        assert_eq!(account.learn(""), "1");
        assert_eq!((account.check("1"), account.check("")), (Ok(()), Ok(())));
        assert_eq!(account.check("2").unwrap_err().code, "WrongAccount");
    }

    #[test]
    fn what_the_settings_say_goes_first() {
        let settings = Settings { account_id: Some("111111111111".into()), ..settings() };
        let account = Account::new(&settings);
        assert_eq!(account.learn("222222222222"), "111111111111");
        assert!(account.check("222222222222").is_err());
    }
}
