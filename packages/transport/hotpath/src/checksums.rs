//! The checksums of pages: one CRC-32 (IEEE) for each block, the last block shorter.

pub const BLOCK_BYTES: u64 = 64 * 1024;

/// One checksum a block.
pub fn checksums_of(bytes: &[u8]) -> impl ExactSizeIterator<Item = u32> + '_ {
    bytes.chunks(BLOCK_BYTES as usize).map(crc32fast::hash)
}

/// Whether every block has the checksum that stands at its place; false where one has none.
pub fn blocks_match(bytes: &[u8], expected: &[u32]) -> bool {
    let checksums = checksums_of(bytes);
    checksums.len() <= expected.len() && checksums.zip(expected).all(|(one, other)| one == *other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_checked_to_its_end() {
        let mut bytes = vec![7; 2 * BLOCK_BYTES as usize + 1];
        let expected: Vec<u32> = checksums_of(&bytes).collect();
        assert_eq!(expected.len(), 3);
        assert!(blocks_match(&bytes, &expected));
        assert!(!blocks_match(&bytes, &expected[..2]), "one has none");
        for at in [
            0,
            BLOCK_BYTES as usize - 1,
            BLOCK_BYTES as usize,
            bytes.len() - 1,
        ] {
            bytes[at] ^= 1;
            assert!(!blocks_match(&bytes, &expected), "byte {at}");
            bytes[at] ^= 1;
        }
    }
}
