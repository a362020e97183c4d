//! What mends a finding at the command line, where the library names a call for programs.

/// The verb for a finding of the security report, by its code; `None` where only a program of the house can mend it, or the
/// library's words are for people already.
pub fn verb_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "only-one-slot" => "add another: chartvault key add recovery-key --out FILE",
        "no-recovery" => "add a recovery key: chartvault key add recovery-key --out FILE",
        "slot-never-used" => {
            "try it: chartvault status, then any verb with --recovery-key-file FILE; or: chartvault key remove SLOT"
        }
        "cheap-passphrase" => "derive it at today's cost: chartvault key change",
        "header-on-one-disk" | "header-on-one-medium" => {
            "keep a copy on another disk, where the recovery key is: chartvault key backup-header FILE"
        }
        "rotation-under-way" => "go on with it: chartvault key rotate continue",
        "old-key" => "chartvault key rotate data (or wrap, log, root: chartvault key rotate --help)",
        "grant-wider-than-use" => {
            "have a narrower one minted (chartvault token mint), and end this: chartvault token revoke"
        }
        "grant-unused" => "end it: chartvault token revoke TOKEN-ID --reason TEXT",
        "no-review" | "role-not-reviewed" => "chartvault review open --due 30d --token FILE --purpose PURPOSE",
        "emergency-overdue" | "emergency-open" => "chartvault review cases, then chartvault review close-case",
        "issuer-old" => "draw and trust a new one (chartvault token issuer new), then chartvault token issuer distrust",
        "no-anchor" => "keep checkpoints on another disk: chartvault audit anchor DIR, and --anchor DIR with each verb",
        "no-backup" | "backup-old" | "backup-failed" | "no-key-pack" | "key-pack-old" => {
            "make one, regularly: chartvault backup run --to PLACE --packs PLACE"
        }
        "no-drill" | "drill-old" | "drill-failed" => {
            "rehearse a restore: chartvault backup drill --to PLACE --packs PLACE"
        }
        "log-not-verified" => "chartvault audit verify",
        "memory-swapped" => "let the tool lock its memory (RLIMIT_MEMLOCK unlimited), or encrypt swap",
        "memory-dumped" => "turn core dumps off",
        "not-checked" => "chartvault check --all",
        _ => return None,
    })
}
