//! Latencies counted in buckets of about 1.6 %, so that a run of any length takes the same memory.

const SUB_BITS: u32 = 6;
const SUBS: u64 = 1 << SUB_BITS;

pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    pub fn new() -> Self {
        Self {
            counts: vec![0; (64 << SUB_BITS) as usize],
            total: 0,
        }
    }

    pub fn record(&mut self, ns: u64) {
        self.counts[bucket_of(ns)] += 1;
        self.total += 1;
    }

    /// The upper end of the bucket below which this share of all lies; 0 without any.
    pub fn quantile_ns(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return end_of(bucket as u64);
            }
        }
        0
    }
}

fn bucket_of(ns: u64) -> usize {
    if ns < SUBS {
        return ns as usize;
    }
    let shift = ns.ilog2() - SUB_BITS;
    (((u64::from(shift) + 1) << SUB_BITS) + (ns >> shift) - SUBS) as usize
}

fn end_of(bucket: u64) -> u64 {
    if bucket < SUBS {
        return bucket;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    ((bucket & (SUBS - 1)) + SUBS + 1) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_two_percent() {
        let mut latencies = Latencies::new();
        for us in 1..=10_000_u64 {
            latencies.record(us * 1000);
        }
        for (share, us) in [(0.5, 5000.0), (0.99, 9900.0), (1.0, 10_000.0)] {
            let found = latencies.quantile_ns(share) as f64 / 1000.0;
            assert!((found / us - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert_eq!(Latencies::new().quantile_ns(0.5), 0);
    }
}
