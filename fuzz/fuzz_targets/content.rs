#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| convivio_fuzz::content::run(data));
