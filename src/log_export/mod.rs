//! Floor 5: entries of the log as other programs read them. Pure: an entry comes in, lines go out.

mod cef;
mod csv;
mod fhir;
mod part;
mod syslog;
#[cfg(test)]
mod tests;

use data_encoding::HEXLOWER;

use crate::ids::VaultId;
use crate::sink::Delivered;

/// In which form entries of the log are written out; docs/format/exports.md has what stands where.
///
/// All forms hold whatever the entries do, such as patients and free text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogFormat {
    /// One JSON object a line, with all that an entry says ([`AuditEntry::to_json`](crate::AuditEntry::to_json)) and its leaf
    /// hash: the only form from which nothing is left out.
    #[default]
    JsonLines,
    /// RFC 4180, UTF-8, with a first line of names, every value in quotes: one row for each patient of an entry, and for each of
    /// several reads that share it.
    Csv,
    /// Common Event Format (ArcSight), version 0, for a SIEM: one message for each patient of an entry, and for each of several
    /// reads that share it.
    Cef,
    /// One message of RFC 5424 a line, as [`SyslogSink`](crate::SyslogSink) sends them; its host is that of the entry.
    Rfc5424,
    /// AuditEvent of FHIR R4, after the Basic Audit Log Patterns of IHE: one resource a line (NDJSON), one for each patient of an
    /// entry, and for each of several reads that share it.
    FhirR4,
    /// AuditEvent of FHIR R5, in the same lines.
    FhirR5,
}

impl LogFormat {
    /// What stands before the first entry.
    pub(crate) fn head(self) -> String {
        match self {
            Self::Csv => csv::head(),
            _ => String::new(),
        }
    }

    /// The lines of one entry, with their ends.
    pub(crate) fn put(self, vault: VaultId, entry: &Delivered, out: &mut String) {
        match self {
            Self::JsonLines => json_line(entry, out),
            Self::Csv => csv::put(entry, out),
            Self::Cef => cef::put(vault, entry, out),
            Self::Rfc5424 => syslog::put(entry, out),
            Self::FhirR4 => fhir::put(fhir::Release::R4, vault, entry, out),
            Self::FhirR5 => fhir::put(fhir::Release::R5, vault, entry, out),
        }
    }

    /// As messages and the log name it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::JsonLines => "JSON lines",
            Self::Csv => "CSV",
            Self::Cef => "CEF",
            Self::Rfc5424 => "RFC 5424",
            Self::FhirR4 => "FHIR R4",
            Self::FhirR5 => "FHIR R5",
        }
    }
}

/// The entry's own object, and its leaf as the last member.
fn json_line(delivered: &Delivered, out: &mut String) {
    let Some(entry) = &delivered.entry else { return };
    let object = entry.to_json();
    out.push_str(object.strip_suffix('}').unwrap_or(&object));
    out.push_str(&format!(",\"leaf\":\"{}\"}}\n", HEXLOWER.encode(&delivered.leaf)));
}
