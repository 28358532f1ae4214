//! Measuring on the device which layout of work ([`Tile`]) multiplies a model's matrices fastest.
//!
//! [`Tile::choose`] is a rule by kind of machine. [`Model::tune`](crate::model::Model::tune) tries a
//! short list of others on the model's own weights, shape after shape, those first that take most of
//! a token's time, within a budget. What it finds is a [`Tuning`], a plain value: a program hands it
//! to [`Gpu::set_tuning`](crate::Gpu::set_tuning), and keeps it in a [`Store`] for the next time. A
//! choice holds for a [`Class`] of shapes on one [`DeviceKey`]: adapter, driver, capabilities, limits
//! and kernels. Nothing is measured, and nothing measured is used, unless a program asks for it.

mod answer;
mod candidates;
mod choice;
#[cfg(feature = "download")]
pub mod file;
mod store;
mod trial;

pub use candidates::candidates;
pub use choice::clearly_faster;
pub use store::{Store, StoreError};
pub use trial::{Options, Target, measure};

use std::collections::HashSet;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::formats::{self, FormatRef};
use crate::gpu::{Caps, Class as Machine, Gpu, link_parts};
use crate::ops::matmul::{self, Tile};
use crate::ops::stage;

/// The device that something was measured on, as far as it counts for speed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKey {
    /// The adapter's name.
    pub adapter: String,
    /// The driver's name and version.
    pub driver: String,
    /// The API that it is reached through.
    pub backend: String,
    /// Whether kernels may use f16 and subgroups, and how large those are.
    pub f16: bool,
    /// See [`f16`](Self::f16).
    pub subgroups: bool,
    /// See [`f16`](Self::f16).
    pub subgroup: u32,
    /// Whether it is a CPU behind a software driver.
    pub software: bool,
    /// Lanes of a workgroup at most, and bytes that they share.
    pub limits: [u32; 2],
    /// A hash of the kernels' text.
    pub kernels: String,
    /// This crate's version.
    pub version: String,
}

impl DeviceKey {
    /// That of a device, with this build's kernels.
    pub fn of(gpu: &Gpu) -> Self {
        let (info, caps, limits) = (gpu.info(), gpu.caps(), gpu.limits());
        Self {
            adapter: info.name.clone(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
            backend: format!("{:?}", info.backend),
            f16: caps.f16,
            subgroups: caps.subgroups,
            subgroup: caps.subgroup,
            software: caps.class == Machine::Software,
            limits: [
                limits.max_compute_invocations_per_workgroup,
                limits.max_compute_workgroup_storage_size,
            ],
            kernels: format!("{:016x}", kernels_hash()),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// FNV-1a over every text that a multiplication may be linked to, in any format, and over that which
/// stages its x.
fn kernels_hash() -> u64 {
    static HASH: OnceLock<u64> = OnceLock::new();
    let caps = Caps { subgroups: true, ..Caps::plain(Machine::Gpu) };
    let of_format = |format| {
        let lists = matmul::part_lists(caps).into_iter();
        lists.map(move |parts| link_parts(&matmul::OP, &[format], &parts, caps).text)
    };
    *HASH.get_or_init(|| {
        // Most formats of a family are the same text with other constants.
        let mut seen = HashSet::new();
        let parts = |format: FormatRef| format.shader().iter().map(|p| p.path).collect::<Vec<_>>();
        let texts = formats::all().filter(|&f| seen.insert(parts(f))).flat_map(of_format);
        let texts = texts.chain([link_parts(&stage::OP, &[], &[], caps).text]);
        texts.fold(0xcbf2_9ce4_8422_2325, |hash, text| {
            text.bytes()
                .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        })
    })
}

/// How many rows of x there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// One: decoding.
    One,
    /// 2 to 4.
    Few,
    /// 5 to 31.
    Some,
    /// 32 and more: a prompt.
    Many,
}

impl Rows {
    /// The class of `m` rows.
    pub fn of(m: usize) -> Self {
        match m {
            0..=1 => Self::One,
            2..=4 => Self::Few,
            5..=31 => Self::Some,
            _ => Self::Many,
        }
    }
}

/// Multiplications that are laid out alike: of a format, with N and K between the same powers of two,
/// and about as many rows of x.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Class {
    /// The format's name.
    pub format: String,
    /// Rows of x.
    pub rows: Rows,
    /// ⌈log₂ N⌉.
    pub log_n: u32,
    /// ⌈log₂ K⌉.
    pub log_k: u32,
}

impl Class {
    /// The class of a multiplication of `m` rows with N rows of K weights.
    pub fn of(format: FormatRef, (n, k): (usize, usize), m: usize) -> Self {
        let log = |n: usize| usize::BITS - n.saturating_sub(1).leading_zeros();
        let format = format.name().into();
        Self { format, rows: Rows::of(m), log_n: log(n), log_k: log(k) }
    }
}

/// What was found for a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What it holds for.
    pub class: Class,
    /// The layout that is clearly faster than the default; `None` where none is.
    pub tile: Option<Tile>,
    /// Seconds that a launch takes with it, in the median of the rounds.
    pub seconds: f64,
    /// The same with the default.
    pub default_seconds: f64,
}

/// What was measured on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Where.
    pub device: DeviceKey,
    /// What was found, a word for each class.
    pub choices: Vec<Choice>,
}

impl Tuning {
    /// Nothing yet.
    pub fn new(gpu: &Gpu) -> Self {
        Self { device: DeviceKey::of(gpu), choices: Vec::new() }
    }

    /// What was found for a class.
    pub fn choice(&self, class: &Class) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.class == *class)
    }

    /// The layout to take instead of the default, if there is one.
    pub fn tile(&self, format: FormatRef, shape: (usize, usize), m: usize) -> Option<Tile> {
        let tile = self.choice(&Class::of(format, shape, m))?.tile?;
        // It may have been measured with more rows of x than there are.
        Some(Tile { m: tile.m.min(m.max(1).next_power_of_two()), ..tile })
    }

    /// Puts what another run found over it.
    pub fn merge(&mut self, newer: Self) {
        for choice in newer.choices {
            self.choices.retain(|old| old.class != choice.class);
            self.choices.push(choice);
        }
    }

    /// Without layouts that the device cannot run: a file may say anything.
    pub(crate) fn legal(mut self, gpu: &Gpu) -> Self {
        let legal = |tile: Tile| tile.is_legal(gpu.caps(), gpu.limits());
        self.choices.retain(|choice| choice.tile.is_none_or(legal));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::F32;
    use crate::ops::matmul::Share;

    #[test]
    fn classes_are_between_powers_of_two() {
        let class = |shape, m| Class::of(F32, shape, m);
        assert_eq!(class((513, 576), 33), class((1024, 1000), 512));
        assert_ne!(class((512, 576), 33), class((513, 576), 33));
        assert_ne!(class((512, 512), 33), class((512, 513), 33));
        assert_eq!([1, 2, 4, 5, 31, 32].map(Rows::of), {
            use Rows::{Few, Many, One, Some};
            [One, Few, Few, Some, Some, Many]
        });
        assert_eq!(class((1, 1), 1).log_n, 0);
    }

    #[test]
    fn a_tile_owns_no_more_rows_than_there_are() {
        let tile = Tile {
            lanes: 64,
            split: 16,
            rows: 4,
            m: 16,
            share: Share::Lane,
            codes: false,
            staged: false,
        };
        let tuning = store::tests::tuning("a", Some(tile), Rows::Some);
        let (f32, shape) = (F32, store::tests::SHAPE);
        assert_eq!(tuning.tile(f32, shape, 5).map(|t| t.m), Some(8));
        assert_eq!(tuning.tile(f32, shape, 31).map(|t| t.m), Some(16));
        assert_eq!(tuning.tile(f32, shape, 32), None);
        assert_eq!(tuning.tile(f32, (3 * shape.0, shape.1), 5), None);
    }

    #[test]
    fn what_is_newer_replaces_its_class_only() {
        let tile = Tile {
            lanes: 64,
            split: 16,
            rows: 4,
            m: 1,
            share: Share::Lane,
            codes: false,
            staged: false,
        };
        let mut tuning = store::tests::tuning("a", Some(tile), Rows::One);
        tuning.merge(store::tests::tuning("a", None, Rows::Many));
        assert_eq!(tuning.choices.len(), 2);
        tuning.merge(store::tests::tuning("a", None, Rows::One));
        assert_eq!((tuning.choices.len(), tuning.tile(F32, store::tests::SHAPE, 1)), (2, None));
    }
}
