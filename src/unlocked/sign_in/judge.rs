//! Whether what was shown is what a principal is known by. All that counts is looked at here, in one order.

use super::Second;
use crate::clock::Timestamp;
use crate::crypto::hash;
use crate::policy::{PrincipalRow, hash_of_typed};
use crate::token::SignInLevel;

/// Somebody is in, and this is what is to be stored before they are told.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) row: PrincipalRow,
    pub(super) level: SignInLevel,
    pub(super) by: &'static str,
}

/// Why nobody is let in: for the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    NoSuchName,
    WrongPassword,
    Disabled,
    WrongCode,
    WrongRecoveryCode,
}

impl Why {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NoSuchName => "no such name",
            Self::WrongPassword => "wrong password",
            Self::Disabled => "disabled",
            Self::WrongCode => "wrong or used code",
            Self::WrongRecoveryCode => "wrong or used recovery code",
        }
    }
}

/// `holds`: whether the password is that of the principal.
pub(super) fn judge(
    row: Option<PrincipalRow>,
    holds: bool,
    second: Option<Second<'_>>,
    now: Timestamp,
) -> Result<Accepted, Why> {
    let mut row = row.ok_or(Why::NoSuchName)?;
    if !holds {
        return Err(Why::WrongPassword);
    }
    if row.disabled.is_some() {
        return Err(Why::Disabled);
    }
    let (level, by) = match second {
        None => (SignInLevel::OneFactor, "password"),
        Some(Second::Totp(code)) => {
            let totp = row.totp.as_mut().ok_or(Why::WrongCode)?;
            totp.used = totp.secret.step_of(code, now, totp.used).ok_or(Why::WrongCode)?;
            (SignInLevel::TwoFactors, "password and code")
        }
        Some(Second::RecoveryCode(code)) => {
            let typed = hash_of_typed(code, row.id()).ok_or(Why::WrongRecoveryCode)?;
            let left = row.recovery_codes.len();
            row.recovery_codes.retain(|kept| !hash::equal(kept, &typed));
            if row.recovery_codes.len() == left {
                return Err(Why::WrongRecoveryCode);
            }
            (SignInLevel::TwoFactors, "password and recovery code")
        }
    };
    row.last_sign_in = Some(now);
    Ok(Accepted { row, level, by })
}
