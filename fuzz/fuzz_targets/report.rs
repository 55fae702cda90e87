#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| convivio_fuzz::report::run(data));
