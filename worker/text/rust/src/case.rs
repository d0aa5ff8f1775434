//! Counts of upper and lower case letters.

use crate::ffi::{entry, slice, Buffer};

#[repr(C)]
pub struct Case {
    cased: u64,
    upper: u64,
}

/// Unicode's derived properties Uppercase and Lowercase; a title-case digraph counts as neither.
fn measure(bytes: &[u8]) -> Case {
    let text = String::from_utf8_lossy(bytes);
    let upper = text.chars().filter(|c| c.is_uppercase()).count() as u64;
    let lower = text.chars().filter(|c| c.is_lowercase()).count() as u64;
    Case { cased: upper + lower, upper }
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_measure_case(
    data: *const u8,
    size: usize,
    out: *mut Case,
    error: *mut Buffer,
) -> i32 {
    entry(error, || Ok(measure(slice(data, size))), |case| out.write(case))
}
