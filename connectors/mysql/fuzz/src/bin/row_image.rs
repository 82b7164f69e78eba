#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| elasticflow_mysql_fuzz::targets::row_image(data));
