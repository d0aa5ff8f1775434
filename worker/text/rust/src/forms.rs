//! Forms of a text that scorers look at: words, ASCII with marks, a normal form for comparison.

use unicode_normalization_alignments::UnicodeNormalization;
use unicode_properties::{EmojiStatus, UnicodeEmoji};
use unicode_segmentation::UnicodeSegmentation;

use crate::ffi::{entry, slice, Buffer};

/// Stands for an emoji in `plain`.
const EMOJI: char = '\u{1}';

/// Shows nothing: zero-width and bidirectional marks, soft hyphens, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}')
}

/// One picture, however many characters it is made of: what is shown as one by default, or asked to
/// be by U+FE0F or a skin tone, or a key cap.
fn is_emoji(cluster: &str) -> bool {
    let mut chars = cluster.chars();
    let Some(first) = chars.next() else { return false };
    let keycap = cluster.contains('\u{20e3}');
    let asked = cluster.contains(|c| matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}'));
    match first.emoji_status() {
        EmojiStatus::EmojiPresentation
        | EmojiStatus::EmojiPresentationAndModifierBase
        | EmojiStatus::EmojiPresentationAndEmojiComponent
        | EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent => true,
        EmojiStatus::EmojiOther | EmojiStatus::EmojiModifierBase => asked,
        EmojiStatus::EmojiOtherAndEmojiComponent => keycap,
        _ => false,
    }
}

fn push_plain(c: char, plain: &mut String) {
    match c {
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => plain.push('\n'),
        _ if c.is_ascii_control() => plain.push(' '),
        _ if c.is_ascii() => plain.push(c.to_ascii_lowercase()),
        _ if is_invisible(c) => (),
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2032}' | '\u{ff07}' => plain.push('\''),
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => plain.push('"'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => plain.push('-'),
        '\u{2026}' | '\u{ff0e}' => plain.push('.'),
        // No space follows them in Chinese and Japanese.
        '\u{3002}' | '\u{ff61}' => plain.push_str(". "),
        '\u{ff01}' => plain.push_str("! "),
        '\u{ff1f}' => plain.push_str("? "),
        '\u{ff1a}' => plain.push(':'),
        '\u{d7}' | '\u{b7}' | '\u{22c5}' | '\u{2217}' => plain.push('*'),
        '\u{f7}' => plain.push('/'),
        '\u{2261}' => plain.push('='),
        _ if c.is_alphanumeric() || is_combining(c) => plain.push('_'),
        _ => plain.push(' '),
    }
}

/// `text` in ASCII, lower case: typographic quotes, dashes, full stops and signs of arithmetic as
/// ASCII's, letters and digits outside ASCII as '_', emoji as U+0001 between spaces, line ends as '\n', what is invisible
/// left out, all else as a space. So the words, digits and word boundaries of ASCII patterns in it are
/// those of the text.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        if is_emoji(cluster) {
            plain.extend([' ', EMOJI, ' ']);
        } else {
            cluster.chars().for_each(|c| push_plain(c, &mut plain));
        }
    }
    plain
}

/// The words of `text` by the word boundaries of Unicode (UAX #29), those that have a letter or digit,
/// in lower case, a line each.
fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut words = String::with_capacity(text.len());
    for word in text.unicode_words() {
        words.push_str(&word.to_lowercase());
        words.push('\n');
    }
    words
}

/// `text` in normal form C, without white space at its ends and with one space for each run inside.
fn normal(bytes: &[u8], lower_case: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let composed: String = text.nfc().map(|(c, _)| c).collect();
    let joined = composed.split_whitespace().collect::<Vec<_>>().join(" ");
    if lower_case { joined.to_lowercase() } else { joined }
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_plain(
    data: *const u8,
    size: usize,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    entry(error, || Ok(plain(slice(data, size))), |text| out.write(Buffer::new(text)))
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_words(
    data: *const u8,
    size: usize,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    entry(error, || Ok(words(slice(data, size))), |text| out.write(Buffer::new(text)))
}

#[no_mangle]
pub unsafe extern "C" fn jenner_text_normal(
    data: *const u8,
    size: usize,
    lower_case: i32,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    entry(error, || Ok(normal(slice(data, size), lower_case != 0)), |text| {
        out.write(Buffer::new(text))
    })
}
