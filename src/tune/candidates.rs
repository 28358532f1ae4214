//! The layouts that are tried: few, since each has to be compiled.

use crate::formats::FormatRef;
use crate::gpu::{Caps, Class};
use crate::ops::matmul::{Share, Tile};

/// Sums that a lane may keep: with more, drivers take seconds to compile a kernel.
const MOST_SUMS: usize = 64;

/// Layouts to try beside [`Tile::choose`] for N × K weights and `m` rows of x, the likeliest first; each is legal on
/// such a device and none is the default.
pub fn candidates(
    caps: Caps,
    limits: &wgpu::Limits,
    format: FormatRef,
    shape: (usize, usize),
    m: usize,
) -> Vec<Tile> {
    let default = Tile::choose(caps, format, shape, m);
    let all = match caps.class {
        Class::Software => software(caps, default, m),
        Class::Gpu if m <= 8 => gpu_few(caps, default),
        Class::Gpu => gpu_many(caps, default),
    };
    let rows_of_x = m.next_power_of_two();
    let mut found: Vec<Tile> = Vec::new();
    for tile in all {
        let tile = Tile { m: tile.m.min(rows_of_x), ..tile };
        let sensible = tile.rows * tile.m <= MOST_SUMS
            // Eight decoders of such a format take seconds, too.
            && (tile.rows == 4 || format.has_codes())
            // It would be the same kernel.
            && (format.has_codes() || tile.codes == default.codes);
        if sensible && tile != default && tile.is_legal(caps, limits) && !found.contains(&tile) {
            found.push(tile);
        }
    }
    found
}

/// A CPU behind a driver: more rows of W or of x to a load, a larger workgroup, no sharing.
fn software(caps: Caps, default: Tile, m: usize) -> Vec<Tile> {
    let other_rows = if default.rows == 8 { 4 } else { 8 };
    let mut tiles = vec![
        Tile { rows: other_rows, ..default },
        Tile { codes: !default.codes, ..default },
        Tile { lanes: default.lanes * 4, ..default },
        Tile { m: (default.m / 2).max(1), rows: 8, ..default },
        Tile { staged: !default.staged, ..default },
    ];
    if !caps.sharing().by_subgroup {
        tiles.push(Tile { m: 16, rows: 4, ..default });
        tiles.push(Tile { share: Share::Lane, ..default });
    } else if m <= 8 {
        // With more rows of x, RMSNorm on the way in counts on it (`matmul::norms_cheaply`).
        tiles.push(Tile { lanes: 8, share: Share::Lane, rows: 8, ..default });
    }
    tiles
}

/// A GPU that decodes: how many lanes go along a row, how many rows a workgroup has.
fn gpu_few(caps: Caps, default: Tile) -> Vec<Tile> {
    vec![
        Tile { lanes: 64, split: 32, ..default },
        Tile { lanes: 64, split: 8, ..default },
        Tile { lanes: 128, split: 32, ..default },
        Tile { lanes: 32, split: 32, ..default },
        Tile { lanes: 64, split: 64, ..default },
        Tile { rows: 8, ..default },
        shared(caps, default),
    ]
}

/// A GPU on a prompt: x in workgroup memory, fewer barriers, more rows of W to a decoded x.
fn gpu_many(caps: Caps, default: Tile) -> Vec<Tile> {
    let fetched = Tile { share: Share::Workgroup, ..default };
    vec![
        fetched,
        Tile { split: 1, lanes: 128, ..fetched },
        Tile { split: 2, m: 8, rows: 8, ..fetched },
        Tile { split: 1, ..default },
        Tile { split: 1, m: 8, rows: 8, ..default },
        Tile { split: 2, m: 8, rows: 8, ..default },
        Tile { m: 8, ..shared(caps, default) },
    ]
}

/// Loads of x by way of the subgroup; the default where there is none to go by.
fn shared(caps: Caps, default: Tile) -> Tile {
    let sharing = caps.sharing();
    if !sharing.by_subgroup {
        return default;
    }
    Tile { lanes: sharing.lanes.max(64), split: 1, share: Share::Subgroup, ..default }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats;

    fn machines() -> Vec<Caps> {
        let plain = [Class::Software, Class::Gpu].map(Caps::plain);
        let with = |lanes| move |caps| Caps { subgroups: true, subgroup: lanes, ..caps };
        let sizes = [8, 32, 64, 128];
        plain.into_iter().chain(sizes.iter().flat_map(|&n| plain.map(with(n)))).collect()
    }

    /// Not one of them is the default, or twice there, or more than a device takes.
    #[test]
    fn they_are_few_legal_and_other_than_the_default() {
        let small = wgpu::Limits {
            max_compute_invocations_per_workgroup: 64,
            max_compute_workgroup_storage_size: 512,
            ..wgpu::Limits::default()
        };
        for limits in [&wgpu::Limits::default(), &small] {
            for caps in machines() {
                for m in [1, 2, 3, 4, 5, 8, 9, 31, 32, 128] {
                    for format in ["q4_1", "q6_k", "f32"].map(|f| formats::by_name(f).unwrap()) {
                        let all = candidates(caps, limits, format, (64, 64), m);
                        let default = Tile::choose(caps, format, (64, 64), m);
                        assert!(all.len() <= 7, "{all:?}");
                        for (i, tile) in all.iter().enumerate() {
                            assert!(tile.is_legal(caps, limits) && *tile != default, "{tile:?}");
                            assert!(!all[..i].contains(tile), "{tile:?}");
                            assert!(
                                tile.lanes
                                    <= limits.max_compute_workgroup_storage_size as usize / 16
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_machine_has_something_to_try() {
        for caps in machines() {
            for m in [1, 3, 8, 128] {
                let q4_1 = formats::by_name("q4_1").unwrap();
                let all = candidates(caps, &wgpu::Limits::default(), q4_1, (64, 64), m);
                assert!(all.len() >= 3, "{caps:?} {m}: {all:?}");
            }
        }
    }

    #[test]
    fn what_no_kernel_can_be_is_not_legal() {
        let limits = wgpu::Limits::default();
        let plain = Caps::plain(Class::Gpu);
        let sharing = Caps { subgroups: true, subgroup: 32, ..plain };
        let good = Tile {
            lanes: 64,
            split: 16,
            rows: 4,
            m: 1,
            share: Share::Lane,
            codes: true,
            staged: false,
        };
        assert!(good.is_legal(plain, &limits));
        let shared = Tile { split: 1, share: Share::Subgroup, ..good };
        assert!(shared.is_legal(sharing, &limits) && !shared.is_legal(plain, &limits));
        let quads = Caps { subgroups: true, quads: 4, ..plain };
        let by_quad = Tile { share: Share::Quad, ..shared };
        assert!(by_quad.is_legal(quads, &limits) && !by_quad.is_legal(plain, &limits));
        assert!(!shared.is_legal(quads, &limits));
        let bad = [
            Tile { lanes: 0, ..good },
            Tile { lanes: 48, ..good },
            Tile { lanes: 512, ..good },
            Tile { split: 0, ..good },
            Tile { split: 128, ..good },
            Tile { rows: 2, ..good },
            Tile { m: 3, ..good },
            Tile { m: 32, ..good },
            Tile { share: Share::Subgroup, ..good },
            Tile { share: Share::Subgroup, split: 1, lanes: 16, ..good },
            // 20 · 8 · 64 · 16 bytes.
            Tile { share: Share::Workgroup, split: 64, m: 16, ..good },
        ];
        for tile in bad {
            assert!(!tile.is_legal(sharing, &limits), "{tile:?}");
        }
    }
}
