#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| alluxio_hotpath::properties::request_head(input));
