//! Which multiplications of a model are worth measuring.

use super::weights::Weights;
use super::{Model, Progress, Stage};
use crate::error::Result;
use crate::ops::Matrix;
use crate::tune::{self, Class, Rows, Target, Tuning};

impl Model {
    /// Measures on the device which layouts of work multiply this model's weights fastest, those
    /// first that take most of the time, until the budget is spent. Shapes that the device's tuning
    /// knows already ([`Gpu::tuning`](crate::Gpu::tuning)) are left out. Nothing is changed: hand what
    /// is found to [`Gpu::set_tuning`](crate::Gpu::set_tuning) before a session is made.
    ///
    /// # Errors
    /// What the device says.
    pub async fn tune(
        &self,
        options: &tune::Options,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Tuning> {
        let known = self.gpu().tuning();
        let is_known = |target: &Target| match (&known, target.class()) {
            (Some(tuning), Some(class)) => tuning.choice(&class).is_some(),
            _ => false,
        };
        let mut targets = targets(&self.0.weights, &options.rows);
        targets.retain(|target| !is_known(target));
        if targets.is_empty() {
            return Ok(Tuning::new(self.gpu()));
        }
        let mut hear = |done, total| progress(Progress { stage: Stage::Tune, done, total });
        tune::measure(self.gpu(), &targets, options.budget, &mut hear).await
    }

    /// How many of the layouts that the device's tuning knows are of this model's multiplications, for
    /// whatever number of rows.
    pub fn tuned(&self) -> usize {
        let Some(tuning) = self.gpu().tuning() else { return 0 };
        let own = targets(&self.0.weights, &[1]);
        let own: Vec<Class> = own.iter().filter_map(Target::class).collect();
        let is_own = |class: &Class| own.contains(&Class { rows: Rows::One, ..class.clone() });
        tuning.choices.iter().filter(|choice| is_own(&choice.class)).count()
    }
}

/// The multiplications of a step for each number of rows, in its order; those of as many rows by
/// the bytes of all their weights, the most first.
fn targets(weights: &Weights, rows: &[usize]) -> Vec<Target> {
    let linears = weights.layers.iter().flat_map(|layer| {
        let both = layer.qkv.iter().chain(&layer.gate_up);
        both.chain([&layer.attn_output, &layer.down]).map(|linear| &linear.weight)
    });
    let linears: Vec<&Matrix> = linears.collect();
    let mut targets = Vec::new();
    for &m in rows.iter().filter(|m| **m > 0) {
        // A step takes one row through the output matrix, however many it has.
        let head = (m == 1).then(|| weights.head());
        let mut of_rows: Vec<Target> = Vec::new();
        for &w in linears.iter().chain(&head) {
            let own = Target { matrices: vec![w.clone()], m };
            match of_rows.iter_mut().find(|target| target.class() == own.class()) {
                Some(target) => target.matrices.push(w.clone()),
                None => of_rows.push(own),
            }
        }
        let bytes = |target: &Target| target.matrices.iter().map(Matrix::bytes).sum::<u64>();
        of_rows.sort_by_key(|target| std::cmp::Reverse(bytes(target)));
        for target in &mut of_rows {
            keep_one_shape(target);
        }
        targets.extend(of_rows);
    }
    targets
}

/// Matrices of a class may differ in shape, as those of queries and outputs do: the largest are
/// measured for all.
fn keep_one_shape(target: &mut Target) {
    let shape = |w: &Matrix| (w.rows, w.cols);
    let bytes = |shape_of: (usize, usize)| {
        let same = target.matrices.iter().filter(|w| shape(w) == shape_of);
        same.map(Matrix::bytes).sum::<u64>()
    };
    let largest = target.matrices.iter().map(shape).max_by_key(|s| bytes(*s));
    if let Some(largest) = largest {
        target.matrices.retain(|w| shape(w) == largest);
    }
}
