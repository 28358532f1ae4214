//! What a recipe means for each tensor of a model.

use super::recipe::{Because, Choice, Recipe};
use crate::error::{Error, Result};
use crate::formats::{self, FormatRef};
use crate::model::TensorInfo;

/// A tensor, the format it is in, and the one it gets.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The tensor as the model has it.
    pub tensor: TensorInfo,
    /// Its format there.
    pub from: FormatRef,
    /// What it gets, and why.
    pub choice: Choice,
    /// Its size then.
    pub bytes: u64,
    /// Weights in a row.
    pub k: usize,
    /// Rows, whatever the number of dimensions.
    pub rows: usize,
}

impl Planned {
    /// Plans one tensor.
    ///
    /// # Errors
    /// [`Error::UnsupportedType`] where we cannot decode it.
    pub fn new(tensor: &TensorInfo, recipe: &Recipe) -> Result<Self> {
        let from = tensor.format()?;
        let choice = recipe.choose(&tensor.name, &tensor.shape)?;
        let too_large = || Error::Shape {
            op: "quantize",
            expected: format!("a size in {} that this machine can count", choice.format.name()),
            got: format!("{} of shape {:?}", tensor.name, tensor.shape),
        };
        let k = tensor.shape.first().copied().unwrap_or(1);
        let rows = tensor.shape.iter().skip(1).try_fold(1u64, |n, &d| n.checked_mul(d));
        let k = usize::try_from(k).ok().ok_or_else(too_large)?;
        let rows = rows.and_then(|n| usize::try_from(n).ok()).ok_or_else(too_large)?;
        let bytes = formats::row_bytes(choice.format, k)
            .and_then(|row| row.checked_mul(rows).filter(|&n| isize::try_from(n).is_ok()));
        let bytes = bytes.ok_or_else(too_large)? as u64;
        Ok(Self { tensor: tensor.clone(), from, choice, bytes, k, rows })
    }

    /// The format that it gets.
    pub fn format(&self) -> FormatRef {
        self.choice.format
    }

    /// Whether its bytes stay what they are.
    pub fn is_copy(&self) -> bool {
        self.from.name() == self.choice.format.name()
    }
}

/// Tensors that get another format than was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Fallback {
    /// What was asked for.
    pub wanted: FormatRef,
    /// What they get.
    pub format: FormatRef,
    /// Weights in a row of theirs, which is no multiple of the block that was asked for.
    pub k: usize,
    /// How many tensors that are.
    pub tensors: usize,
}

impl std::fmt::Display for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wanted, format, k, tensors } = self;
        let (wanted, block, format) = (wanted.name(), wanted.block_len(), format.name());
        let noun = if *tensors == 1 { "tensor" } else { "tensors" };
        write!(f, "{wanted} has blocks of {block}: {tensors} {noun} with rows of {k} get {format}")
    }
}

/// All tensors of a model, in its order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tensors.
    pub tensors: Vec<Planned>,
    /// The recipe that it was made by.
    pub recipe: Recipe,
}

impl Plan {
    /// Plans every tensor.
    ///
    /// # Errors
    /// [`Error::UnsupportedType`] with the first tensor that we cannot decode.
    pub fn new(tensors: &[TensorInfo], recipe: &Recipe) -> Result<Self> {
        let tensors = tensors.iter().map(|t| Planned::new(t, recipe)).collect::<Result<_>>()?;
        Ok(Self { tensors, recipe: recipe.clone() })
    }

    /// The patterns of rules that decide about no tensor: most likely misspelt.
    pub fn unused_rules(&self) -> Vec<&str> {
        let used = |i| self.tensors.iter().any(|t| t.choice.because == Because::Rule(i));
        let rules = self.recipe.rules.iter().enumerate();
        rules.filter(|(i, _)| !used(*i)).map(|(_, rule)| rule.pattern.as_str()).collect()
    }

    /// Where rows do not fit the format that was asked for, and what takes its place.
    pub fn fallbacks(&self) -> Vec<Fallback> {
        let mut all: Vec<Fallback> = Vec::new();
        for t in self.tensors.iter().filter(|t| t.choice.is_fallback()) {
            let (wanted, format, k) = (t.choice.wanted, t.choice.format, t.k);
            let same = |f: &&mut Fallback| {
                (f.wanted.name(), f.format.name(), f.k) == (wanted.name(), format.name(), k)
            };
            match all.iter_mut().find(same) {
                Some(fallback) => fallback.tensors += 1,
                None => all.push(Fallback { wanted, format, k, tensors: 1 }),
            }
        }
        all
    }

    /// Bytes of the model's tensors as they are.
    pub fn source_bytes(&self) -> u64 {
        self.tensors.iter().map(|t| t.tensor.bytes).fold(0, u64::saturating_add)
    }

    /// The format that holds most weights of matrices, if there is one.
    pub(super) fn prevailing(&self) -> Option<FormatRef> {
        let mut counts: Vec<(FormatRef, u64)> = Vec::new();
        for t in self.tensors.iter().filter(|t| t.choice.because != Because::Vector) {
            let (format, weights) = (t.format(), t.tensor.elements());
            match counts.iter_mut().find(|(f, _)| f.name() == format.name()) {
                Some((_, count)) => *count = count.saturating_add(weights),
                None => counts.push((format, weights)),
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(format, _)| format)
    }
}
