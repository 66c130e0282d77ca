//! What the objects of the benchmark hold: bytes that follow from the object's name and the offset, so that a body can be
//! checked without keeping it. Words of eight bytes, little endian, of splitmix64 seeded with the name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

pub struct Content {
    seed: u64,
}

impl Content {
    pub fn of(name: &str) -> Self {
        // FNV-1a.
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { seed }
    }

    fn word(&self, index: u64) -> u64 {
        let mut bits = self
            .seed
            .wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Whether `bytes` are what the object holds from `offset` on.
    pub fn matches(&self, offset: u64, bytes: &[u8]) -> bool {
        let head = ((8 - offset % 8) % 8).min(bytes.len() as u64) as usize;
        let (unaligned, rest) = bytes.split_at(head);
        let start = offset + head as u64;
        let words = rest.chunks_exact(8);
        let tail_offset = start + (rest.len() - words.remainder().len()) as u64;
        self.bytes_match(offset, unaligned)
            && self.bytes_match(tail_offset, words.remainder())
            && words
                .enumerate()
                .all(|(at, word)| word == self.word(start / 8 + at as u64).to_le_bytes())
    }

    fn bytes_match(&self, offset: u64, bytes: &[u8]) -> bool {
        bytes.iter().zip(offset..).all(|(byte, at)| {
            let word = self.word(at / 8).to_le_bytes();
            *byte == word[(at % 8) as usize]
        })
    }

    fn fill(&self, offset: u64, bytes: &mut [u8]) {
        for (at, word) in bytes.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&self.word(offset / 8 + at as u64).to_le_bytes());
        }
    }
}

/// Writes one object; its size is a multiple of eight.
pub fn write_object(folder: &Path, name: &str, size: u64) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let content = Content::of(name);
    let mut file = File::create(folder.join(name))?;
    let mut chunk = vec![0; 1024 * 1024];
    let mut offset = 0;
    while offset < size {
        let length = (size - offset).min(chunk.len() as u64) as usize;
        content.fill(offset, &mut chunk[..length]);
        file.write_all(&chunk[..length])?;
        offset += length as u64;
    }
    Ok(())
}

pub struct Random {
    words: Content,
    next: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self {
            words: Content { seed },
            next: 0,
        }
    }

    /// Uniform in [0, bound), with a bias that does not matter for bounds far below 2⁶⁴.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next += 1;
        self.words.word(self.next) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_at_any_offset_match_and_a_changed_byte_does_not() {
        let content = Content::of("a.bin");
        let mut whole = vec![0; 4096];
        content.fill(0, &mut whole);
        for (from, to) in [
            (0, 4096),
            (1, 7),
            (3, 3),
            (5, 4093),
            (8, 16),
            (9, 15),
            (4095, 4096),
        ] {
            assert!(
                content.matches(from as u64, &whole[from..to]),
                "{from}..{to}"
            );
        }
        for at in [0, 5, 1000, 4095] {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            assert!(!content.matches(0, &broken), "{at}");
        }
        assert!(!Content::of("b.bin").matches(0, &whole));
        assert!(!content.matches(8, &whole[..8]));
    }
}
