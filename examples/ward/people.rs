//! Who works here, and what is on the ward's machines.

use std::sync::Arc;
use std::time::Duration;

use chartvault::{
    Clock, DeviceKey, Grant, IssuerKey, Password, PatientId, Purpose, Record, RecordId, RoleRevision, Session, Token,
    Vault,
};
use serde::{Deserialize, Serialize};
use totp_rs::{Algorithm, Builder};

use crate::Outcome;
use crate::clock::Day;

pub const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Record, Serialize, Deserialize)]
#[record(kind = "note", version = 1)]
pub struct Note {
    pub text: String,
}

pub struct Ward {
    pub vault: Vault,
    pub clock: Arc<Day>,
    /// In earnest on another machine: the issuing desk.
    pub desk: IssuerKey,
    pub nurse: RoleRevision,
    pub clerk: RoleRevision,
    /// Of the privacy officer.
    pub office: RoleRevision,
    /// The nurse's token of today.
    pub shift: Option<Token>,
    /// Who looks after rights, and who reads the log.
    pub officer: Token,
    pub telephone: Telephone,
    pub tablet: DeviceKey,
    pub patients: [PatientId; 2],
    pub notes: [RecordId<Note>; 2],
}

impl Ward {
    /// The desk signs a grant and registers it, as its rules are.
    pub fn issue(&self, grant: Grant, remark: &str) -> Outcome<Token> {
        let token = grant.issued_at(self.clock.now()).sign(&self.desk, self.vault.id())?;
        self.officer()?.grants().register(&token, remark)?;
        Ok(token)
    }

    pub fn shift(&self) -> Outcome<&Token> {
        self.shift.as_ref().ok_or_else(|| "nobody is on shift".into())
    }

    pub fn officer(&self) -> Outcome<Session> {
        Ok(self.vault.session(&self.officer, Purpose::Operations)?)
    }
}

/// The nurse's authenticator app: all it has is what the QR code said.
pub struct Telephone {
    secret: [u8; 20],
}

impl Telephone {
    /// Takes the picture: the secret stands in the address, in base32.
    pub fn scan(uri: &str) -> Outcome<Self> {
        let secret = uri.split(['?', '&']).find_map(|part| part.strip_prefix("secret=")).ok_or("no secret in it")?;
        let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes())?;
        Ok(Self { secret: secret.try_into().map_err(|_| "no secret of 20 bytes")? })
    }

    /// The six digits that it shows now.
    pub fn code(&self, clock: &Day) -> String {
        let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_step_duration(30);
        let app = builder.with_secret(self.secret).build_noncompliant();
        app.generate(u64::try_from(clock.now().as_micros() / 1_000_000).unwrap_or(0)).to_string()
    }
}

pub fn nurses_password() -> Password {
    Password::new("three boats on the lake")
}
