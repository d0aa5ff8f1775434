//! What all entry points share: codes, buffers, borrowed arguments and the catching of panics.

use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

pub const OK: i32 = 0;
pub const INVALID_ARGUMENT: i32 = 1;
pub const RESOURCE_EXHAUSTED: i32 = 2;
pub const INTERNAL: i32 = 3;

/// A code other than OK and its message.
pub struct Fault {
    pub code: i32,
    pub message: String,
}

pub fn invalid(message: impl ToString) -> Fault {
    Fault { code: INVALID_ARGUMENT, message: message.to_string() }
}

pub type Outcome<T> = Result<T, Fault>;

#[repr(C)]
pub struct Buffer {
    data: *mut u8,
    size: usize,
}

impl Buffer {
    pub fn new(text: String) -> Buffer {
        let (data, size) = leak(text.into_bytes());
        Buffer { data, size }
    }
}

/// Hands a vector to the caller as pointer and length, to come back through `reclaim`.
pub fn leak<T>(items: Vec<T>) -> (*mut T, usize) {
    let size = items.len();
    if size == 0 {
        return (std::ptr::null_mut(), 0);
    }
    (Box::into_raw(items.into_boxed_slice()) as *mut T, size)
}

/// # Safety
/// `data` and `size` came from `leak` and were not reclaimed before, or `data` is null.
pub unsafe fn reclaim<T>(data: *mut T, size: usize) {
    if !data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, size)));
    }
}

/// # Safety
/// `data` points to `size` readable items, or `size` is 0.
pub unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 || data.is_null() {
        return &[];
    }
    std::slice::from_raw_parts(data, size)
}

/// # Safety
/// As for `slice`.
pub unsafe fn text<'a>(data: *const u8, size: usize, what: &str) -> Outcome<&'a str> {
    std::str::from_utf8(slice(data, size)).map_err(|error| {
        invalid(format!("{what}: invalid UTF-8 at byte {}", error.valid_up_to()))
    })
}

thread_local! {
    static PANIC_PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics of dependencies become messages, not prints on stderr. This archive is the only Rust code
/// of its process, so the process-wide hook is its own.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            PANIC_PLACE.with(|place| *place.borrow_mut() = info.to_string());
        }));
    });
}

/// What `body` returns; INTERNAL, with the place, if it panics.
pub fn caught<T>(body: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    install_panic_hook();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let place = PANIC_PLACE.with(|place| place.borrow().clone());
        Err(Fault { code: INTERNAL, message: format!("text library: {place}") })
    })
}

/// Runs `body`; stores its value with `store`, or its fault in `error`.
///
/// # Safety
/// `error` is null or points to a writable buffer.
pub unsafe fn entry<T>(
    error: *mut Buffer,
    body: impl FnOnce() -> Outcome<T>,
    store: impl FnOnce(T),
) -> i32 {
    match caught(body) {
        Ok(value) => {
            store(value);
            OK
        }
        Err(fault) => {
            if !error.is_null() {
                error.write(Buffer::new(fault.message));
            }
            fault.code
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_buffer_free(buffer: Buffer) {
    reclaim(buffer.data, buffer.size);
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_valid_utf8(data: *const u8, size: usize) -> usize {
    match std::str::from_utf8(slice(data, size)) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    }
}
