#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| convivio_fuzz::welcome_by_hand::run(data));
