#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = chartvault::fuzzing::backup_manifest(bytes);
});
