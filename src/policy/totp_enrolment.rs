//! Bringing an authenticator app and the vault to share a secret: the `otpauth` URI that apps read, and the first code.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::principal::{PrincipalRow, Totp};
use crate::clock::Timestamp;
use crate::crypto::totp::TotpSecret;
use crate::error::Error;

/// Bytes of the issuer.
const MAX_ISSUER: usize = 64;
/// How long an enrolment can be confirmed.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// The secret of an authenticator app, to be shown once: as text, as the URI that apps take in, and with the feature `qr` as
/// a QR code of that URI. Wiped on drop, never printed by `Debug`; so are the texts, but not what is made of them.
pub struct TotpEnrolment {
    secret: TotpSecret,
    issuer: String,
    account: String,
}

impl TotpEnrolment {
    /// One for nobody yet.
    pub(crate) fn prepare(issuer: &str) -> Result<Self, Error> {
        let len = if issuer.trim().is_empty() { 0 } else { issuer.len() };
        if !(1..=MAX_ISSUER).contains(&len) {
            return Err(Error::InvalidText { what: "issuer", len, least: 1, limit: MAX_ISSUER });
        }
        Ok(Self { secret: TotpSecret::generate()?, issuer: issuer.to_owned(), account: String::new() })
    }

    /// Begins it for a principal. One that was begun before is forgotten; what counts already goes on to count.
    pub(crate) fn begin(self, row: &mut PrincipalRow, now: Timestamp) -> Self {
        row.pending = Some((self.secret.duplicate(), now));
        Self { account: row.name.clone(), ..self }
    }

    /// Lets a principal's new authenticator count, if this is its code.
    pub(crate) fn confirm(row: &mut PrincipalRow, code: &str, now: Timestamp) -> Result<(), Error> {
        let fresh = |(_, since): &&(TotpSecret, Timestamp)| now.saturating_since(*since) < LIFETIME;
        let (secret, _) = row.pending.as_ref().filter(fresh).ok_or(Error::NothingToConfirm)?;
        let used = secret.step_of(code, now, 0).ok_or(Error::WrongCode)?;
        row.totp = row.pending.take().map(|(secret, _)| Totp { secret, used });
        Ok(())
    }

    /// The secret in base 32, to be typed into an app: 32 characters.
    #[must_use]
    pub fn expose_secret(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.secret.expose()))
    }

    /// The URI that authenticator apps take in: `otpauth://totp/…`.
    #[must_use]
    pub fn expose_uri(&self) -> Zeroizing<String> {
        let (issuer, account, secret) = (escaped(&self.issuer), escaped(&self.account), self.expose_secret());
        // Reserved ahead, so that growing leaves no copies behind.
        let mut uri = Zeroizing::new(String::with_capacity(2 * issuer.len() + account.len() + 128));
        for part in ["otpauth://totp/", &issuer, ":", &account, "?secret=", &secret, "&issuer=", &issuer] {
            uri.push_str(part);
        }
        uri.push_str("&algorithm=SHA1&digits=6&period=30");
        uri
    }
}

/// All but the unreserved characters of RFC 3986 as `%XX`.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(feature = "qr")]
#[cfg_attr(docsrs, doc(cfg(feature = "qr")))]
impl TotpEnrolment {
    /// The URI as a QR code (ISO/IEC 18004), as an SVG of its own.
    #[must_use]
    pub fn expose_qr_svg(&self) -> Zeroizing<String> {
        let (side, dark) = self.modules();
        let mut svg = Zeroizing::new(String::with_capacity(32 * dark.len() + 256));
        svg.push_str(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\""
        ));
        dark.iter().for_each(|(x, y)| svg.push_str(&format!("M{x} {y}h1v1h-1z")));
        svg.push_str("\"/></svg>");
        svg
    }

    /// The URI as a QR code for a terminal, in half blocks: light on dark, as terminals are.
    #[must_use]
    pub fn expose_qr_text(&self) -> Zeroizing<String> {
        let (side, dark) = self.modules();
        let light = |x, y| y < side && !dark.contains(&(x, y));
        let mut text = Zeroizing::new(String::with_capacity(4 * usize::from(side) * (usize::from(side) + 1)));
        for y in (0..side).step_by(2) {
            text.extend((0..side).map(|x| match (light(x, y), light(x, y.saturating_add(1))) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            }));
            text.push('\n');
        }
        text
    }

    /// The code's side with its quiet zone of four modules, and where it is dark.
    fn modules(&self) -> (u16, std::collections::BTreeSet<(u16, u16)>) {
        const QUIET: i32 = 4;
        // At most 900 bytes, and 2,331 fit.
        let code = qrcodegen::QrCode::encode_binary(self.expose_uri().as_bytes(), qrcodegen::QrCodeEcc::Medium);
        let Ok(code) = code else { return Default::default() };
        let place = |at: i32| u16::try_from(at.saturating_add(QUIET)).unwrap_or(0);
        let all = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let dark = all.filter(|(x, y)| code.get_module(*x, *y)).map(|(x, y)| (place(x), place(y)));
        (place(code.size().saturating_add(QUIET)), dark.collect())
    }
}

impl fmt::Debug for TotpEnrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpEnrolment(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn enrolment() -> TotpEnrolment {
        let secret = TotpSecret::new(Secret::take(&mut b"12345678901234567890".to_owned()));
        TotpEnrolment { secret, issuer: "Clinic Ä: 1".into(), account: "dr.osei@clinic".into() }
    }

    #[test]
    fn the_uri_says_what_apps_have_to_know_and_nothing_in_it_is_taken_for_a_separator() {
        assert_eq!(
            *enrolment().expose_uri(),
            "otpauth://totp/Clinic%20%C3%84%3A%201:dr.osei%40clinic?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Clinic%20%C3%84%3A%201&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{:?}", enrolment()), "TotpEnrolment(redacted)");
    }

    #[test]
    fn an_authenticator_counts_once_its_code_was_confirmed_within_a_day() {
        let begun = Timestamp::from_micros(0);
        let code_at = Timestamp::from_micros(59_000_000);
        let mut row = PrincipalRow::new("dr.osei", begun);
        let confirm = |row: &mut PrincipalRow, code, now| TotpEnrolment::confirm(row, code, now);
        assert!(matches!(confirm(&mut row, "287082", code_at), Err(Error::NothingToConfirm)));
        assert_eq!(enrolment().begin(&mut row, begun).account, "dr.osei");
        assert!(matches!(confirm(&mut row, "287083", code_at), Err(Error::WrongCode)));
        assert!(row.totp.is_none() && row.pending.is_some());
        let late = begun.saturating_add(LIFETIME);
        assert!(matches!(confirm(&mut row, "287082", late), Err(Error::NothingToConfirm)));
        confirm(&mut row, "287082", code_at).unwrap();
        assert!(row.pending.is_none());
        assert_eq!(row.totp.map(|totp| totp.used), Some(1));
    }

    #[test]
    fn an_issuer_has_1_to_64_bytes() {
        for (issuer, fits) in [("", false), (" ", false), (&*"i".repeat(64), true), (&*"i".repeat(65), false)] {
            assert_eq!(TotpEnrolment::prepare(issuer).is_ok(), fits, "{issuer:?}");
        }
    }

    #[cfg(feature = "qr")]
    #[test]
    fn the_qr_code_has_its_quiet_zone_and_its_finder_patterns_in_both_forms() {
        let mut longest = enrolment();
        (longest.issuer, longest.account) = ("Ä".repeat(32), "Ä".repeat(64));
        for enrolment in [enrolment(), longest] {
            let (side, dark) = enrolment.modules();
            assert!(side > 29 && dark.iter().all(|(x, y)| (4..side - 4).contains(x) && (4..side - 4).contains(y)));
            // A ring of seven modules around one of five light ones and a dark square of three.
            for (left, top) in [(4, 4), (side - 11, 4), (4, side - 11)] {
                for (x, y) in (0..7_u16).flat_map(|y| (0..7_u16).map(move |x| (x, y))) {
                    let ring = x.abs_diff(3).max(y.abs_diff(3));
                    assert_eq!(dark.contains(&(left + x, top + y)), ring != 2, "{x} {y}");
                }
            }
            assert_eq!(enrolment.expose_qr_svg().matches("h1v1h-1z").count(), dark.len());
            let text = enrolment.expose_qr_text();
            assert_eq!(text.lines().count(), usize::from(side).div_ceil(2));
            assert!(text.lines().all(|line| line.chars().count() == usize::from(side)));
            assert!(text.lines().nth(2).unwrap().starts_with("████ ▄▄▄▄▄ "), "{}", *text);
        }
    }
}
