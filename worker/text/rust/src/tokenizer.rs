//! The tokenizer of a model folder.

use std::panic::{catch_unwind, AssertUnwindSafe};

use tokenizers::{PostProcessorWrapper, Tokenizer};

use crate::ffi::{caught, entry, invalid, leak, reclaim, slice, text, Buffer, Outcome};

pub struct Handle {
    tokenizer: Tokenizer,
    vocab_size: u64,
}

#[repr(C)]
pub struct Token {
    begin: u64,
    end: u64,
    id: u32,
}

#[repr(C)]
pub struct Tokens {
    data: *mut Token,
    size: usize,
}

fn parse(json: &[u8]) -> Outcome<Handle> {
    let mut tokenizer = Tokenizer::from_bytes(json).map_err(invalid)?;
    tokenizer.with_truncation(None).map_err(invalid)?;
    tokenizer.with_padding(None);
    tokenizer.with_post_processor(None::<PostProcessorWrapper>);
    let greatest = tokenizer.get_vocab(true).into_values().max();
    let vocab_size = greatest.map_or(0, |id| u64::from(id) + 1);
    if vocab_size == 0 {
        return Err(invalid("the vocabulary is empty"));
    }
    Ok(Handle { tokenizer, vocab_size })
}

fn encode(handle: &Handle, input: &str) -> Outcome<Vec<Token>> {
    let encoding = handle.tokenizer.encode(input, false).map_err(invalid)?;
    let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
    Ok(tokens
        .map(|(&id, &(begin, end))| Token { begin: begin as u64, end: end as u64, id })
        .collect())
}

fn decode(handle: &Handle, ids: &[u32], skip_special: bool) -> Outcome<String> {
    // The library drops unknown ids in silence.
    if let Some(id) = ids.iter().find(|id| handle.tokenizer.id_to_token(**id).is_none()) {
        return Err(invalid(format!("token id {id} is not in the vocabulary")));
    }
    handle.tokenizer.decode(ids, skip_special).map_err(invalid)
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_tokenizer_new(
    json: *const u8,
    size: usize,
    out: *mut *mut Handle,
    error: *mut Buffer,
) -> i32 {
    // The library panics on some broken files (an unfinished decoder): the fault is the file's.
    let body = || caught(|| parse(slice(json, size))).map_err(|fault| invalid(fault.message));
    entry(error, body, |handle| out.write(Box::into_raw(Box::new(handle))))
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_tokenizer_free(handle: *mut Handle) {
    if !handle.is_null() {
        drop(Box::from_raw(handle));
    }
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_tokenizer_encode(
    handle: *const Handle,
    data: *const u8,
    size: usize,
    out: *mut Tokens,
    error: *mut Buffer,
) -> i32 {
    entry(error, || encode(&*handle, text(data, size, "text to encode")?), |tokens| {
        let (data, size) = leak(tokens);
        out.write(Tokens { data, size });
    })
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_tokens_free(tokens: Tokens) {
    reclaim(tokens.data, tokens.size);
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_tokenizer_decode(
    handle: *const Handle,
    ids: *const u32,
    num_ids: usize,
    skip_special: i32,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    let body = || decode(&*handle, slice(ids, num_ids), skip_special != 0);
    entry(error, body, |decoded| out.write(Buffer::new(decoded)))
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_tokenizer_id(
    handle: *const Handle,
    piece: *const u8,
    size: usize,
) -> i64 {
    let find = || {
        let piece = std::str::from_utf8(slice(piece, size)).ok()?;
        (*handle).tokenizer.token_to_id(piece)
    };
    catch_unwind(AssertUnwindSafe(find)).ok().flatten().map_or(-1, i64::from)
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_tokenizer_vocab_size(handle: *const Handle) -> u64 {
    (*handle).vocab_size
}
