#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| convivio_fuzz::commit_receive::run(data));
