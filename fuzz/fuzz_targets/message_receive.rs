#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| convivio_fuzz::message_receive::run(data));
