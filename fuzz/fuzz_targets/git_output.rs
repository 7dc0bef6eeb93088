#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| assets::fuzzing::git_output(bytes));
