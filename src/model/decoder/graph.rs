//! The graph itself: the launches of a step, in their order, and what one leaves for the next.

use super::linear::{Normed, record_linear, record_matmul};
use super::{Decoder, Head, StepRows, StepShape};
use crate::error::Result;
use crate::formats::CHUNK;
use crate::gpu::{Buffer, PlanBuilder, Slot};
use crate::model::config::RopeKind;
use crate::model::weights::{Layer, Linear};
use crate::ops::attention::Attention;
use crate::ops::kv::Kv;
use crate::ops::kv_append::{Rotation, Rows};
use crate::ops::matmul::{Fused, Squares};
use crate::ops::softmax::Softmax;
use crate::ops::stage::{self, Place};
use crate::ops::{self, Matrix, dequantize, glu, kv_append, matmul, quantize_q8, rms_norm};

impl Decoder {
    pub(super) fn record(
        &self,
        shape: StepShape,
        head: Head,
        attention: &Attention,
        log_softmax: Option<&Softmax>,
    ) -> Result<PlanBuilder> {
        let mut plan = PlanBuilder::new(&self.gpu, "decoder step");
        let (s, rows) = (&self.scratch, self.rows(shape, head));
        let embedding = &self.weights.embedding;
        dequantize::record_rows(&mut plan, embedding, &s.ids, &s.residual, rows.count)?;
        let layers = &self.weights.layers;
        let next_norms = layers.iter().skip(1).map(|layer| &layer.attn_norm);
        let next_norms = next_norms.chain([&self.weights.norm]);
        let mut left = None;
        for ((layer, cache), next) in layers.iter().zip(&self.cache.layers).zip(next_norms) {
            let x = self.normed(&mut plan, left, rows, &layer.attn_norm)?;
            left = self.record_attention(&mut plan, layer, cache, x, (attention, shape))?;
            let x = self.normed(&mut plan, left, rows, &layer.ffn_norm)?;
            left = self.record_ffn(&mut plan, layer, x, next)?;
        }
        self.record_head(&mut plan, left, rows.count, head)?;
        if let Some(log_softmax) = log_softmax {
            s.record_log_softmax(&mut plan, log_softmax)?;
        }
        Ok(plan)
    }

    /// Tells what it leaves for the norm of the FFN.
    fn record_attention(
        &self,
        plan: &mut PlanBuilder,
        layer: &Layer,
        (keys, values): &(Kv, Kv),
        x: Normed<'_>,
        (attention, (sequences, rows_each)): (&Attention, StepShape),
    ) -> Result<Option<Normed<'static>>> {
        let (c, s, rows) = (&*self.config, &self.scratch, x.rows);
        let stride = ops::stride(c.q_width() + 2 * c.kv_width());
        let mut at = 0;
        for linear in &layer.qkv {
            let out = matmul::Output { y: &s.qkv, stride, at, accumulate: false };
            record_linear(plan, linear, x, None, out)?;
            at += linear.weight.rows;
        }
        let rotation = Rotation {
            table: &self.rope_table,
            positions: self.room.context,
            pairs: c.rope.dims / 2,
            neox: c.rope.kind == RopeKind::Neox,
        };
        let qkv = Rows { x: &s.qkv, stride, sequences, rows: rows_each, heads: c.heads };
        kv_append::record(plan, &s.step, qkv, rotation, (keys, values))?;
        let output = &layer.attn_output;
        let texels = self.reads_texels(&output.weight, rows);
        let to = if texels {
            plan.scratch(Slot::HANDED_ON, stage::texels(rows.count, c.q_width()));
            Place::Texels(&Slot::HANDED_ON)
        } else {
            Place::Buffer(&s.attended)
        };
        attention.record(plan, &s.step, &s.qkv, (keys, values), None, to)?;
        let attended = match texels {
            true => Normed::handed_on(rows),
            false => self.plain(plan, &s.attended, (rows, c.q_width()))?,
        };
        self.record_residual(plan, output, attended, &layer.ffn_norm)
    }

    /// Tells what it leaves for the norm that comes next, whose gain is `next`.
    fn record_ffn(
        &self,
        plan: &mut PlanBuilder,
        layer: &Layer,
        x: Normed<'_>,
        next: &Buffer,
    ) -> Result<Option<Normed<'static>>> {
        let (c, s, rows) = (&*self.config, &self.scratch, x.rows);
        let activation = c.architecture.activation;
        let down = &layer.down;
        if let [gate_up] = &layer.gate_up[..]
            && self.hands_on(rows, &gate_up.weight, &down.weight)
        {
            plan.scratch(Slot::HANDED_ON, stage::texels(rows.count, c.ffn_width));
            let to = matmul::To::Texels(&Slot::HANDED_ON);
            record_linear(plan, gate_up, x, Some(activation), to)?;
            return self.record_residual(plan, down, Normed::handed_on(rows), next);
        }
        if let [gate_up] = &layer.gate_up[..] {
            let stride = ops::stride(c.ffn_width);
            let out = matmul::Output { y: &s.activated, stride, at: 0, accumulate: false };
            record_linear(plan, gate_up, x, Some(activation), out)?;
        } else {
            let stride = ops::stride(2 * c.ffn_width);
            for (linear, at) in layer.gate_up.iter().zip([0, c.ffn_width]) {
                let out = matmul::Output { y: &s.gate_up, stride, at, accumulate: false };
                record_linear(plan, linear, x, None, out)?;
            }
            glu::record(plan, &s.gate_up, &s.activated, (rows.count, c.ffn_width), activation)?;
        }
        let activated = self.plain(plan, &s.activated, (rows, c.ffn_width))?;
        self.record_residual(plan, down, activated, next)
    }

    /// A result that is added to the residual stream; and what the same launch leaves of the stream's sum
    /// for the norm that comes next, by its gain.
    fn record_residual(
        &self,
        plan: &mut PlanBuilder,
        linear: &Linear,
        x: Normed<'_>,
        gain: &Buffer,
    ) -> Result<Option<Normed<'static>>> {
        let residual = self.residual();
        let Some(squares) = self.leaves(&linear.weight, x.rows) else {
            record_linear(plan, linear, x, None, residual)?;
            return Ok(None);
        };
        plan.scratch(Slot::SCALED, squares.texels(x.rows.count, self.config.width));
        let to = matmul::To::Scaled(residual, gain, &Slot::SCALED);
        record_linear(plan, linear, x, None, to)?;
        Ok(Some(Normed::scaled(x.rows, squares)))
    }

    /// The sums of squares that such a result leaves, where it does.
    fn leaves(&self, w: &Matrix, rows: StepRows) -> Option<Squares> {
        let shape = (w.rows, w.cols);
        let tile = matmul::Tile::on(&self.gpu, w.format, shape, rows.kernels_for);
        let squares = Squares::left_by(&tile, w, self.config.rms_eps);
        let texels = squares.texels(rows.count, w.rows);
        let read = self.q8.is_none() && matmul::reads_scaled(&self.gpu, texels);
        (read && matmul::leaves_scaled(&tile, w)).then_some(squares)
    }

    /// Whether one multiplication's gated activations go to the next by way of texels.
    fn hands_on(&self, rows: StepRows, gate_up: &Matrix, down: &Matrix) -> bool {
        let shape = (gate_up.rows, gate_up.cols);
        let tile = matmul::Tile::on(&self.gpu, gate_up.format, shape, rows.kernels_for);
        matmul::leaves_texels(&tile, gate_up) && self.reads_texels(down, rows)
    }

    /// Whether what computes rows of x for these weights leaves them in texels.
    fn reads_texels(&self, w: &Matrix, rows: StepRows) -> bool {
        self.q8.is_none() && matmul::reads_texels(&self.gpu, w, rows.count)
    }

    /// The logits of the last rows, and what is chosen by them.
    fn record_head(
        &self,
        plan: &mut PlanBuilder,
        left: Option<Normed<'_>>,
        of: usize,
        head: Head,
    ) -> Result<()> {
        let (s, vocabulary) = (&self.scratch, self.config.vocabulary);
        let count = head.rows(of);
        if count == 0 {
            return Ok(());
        }
        let rows = StepRows { count, kernels_for: count };
        let normed = match left.filter(|_| count == of) {
            Some(left) => Normed { rows, ..left },
            None => self.record_norm(plan, (&s.residual, of - count, rows), &self.weights.norm)?,
        };
        let stride = ops::stride(vocabulary);
        let out = matmul::Output { y: &s.logits, stride, at: 0, accumulate: false };
        record_matmul(plan, self.weights.head(), normed, Fused::default(), out.into())?;
        s.record_choice(plan, (count, vocabulary), head)
    }

    /// Rows of x as they are, rounded where that is wanted.
    fn plain<'a>(
        &'a self,
        plan: &mut PlanBuilder,
        x: &'a Buffer,
        (rows, width): (StepRows, usize),
    ) -> Result<Normed<'a>> {
        // Weights that meet bytes have rows of whole chunks.
        let q8 = self.q8.as_ref().filter(|_| width.is_multiple_of(CHUNK));
        if let Some(q8) = q8 {
            quantize_q8::record(plan, (x, 0), (rows.count, width), q8)?;
        }
        Ok(Normed { x: (x, 0, rows.count).into(), rows, norm: None, q8 })
    }

    /// All rows of the residual stream normed, where the launch before left that.
    fn normed<'a>(
        &'a self,
        plan: &mut PlanBuilder,
        left: Option<Normed<'a>>,
        rows: StepRows,
        gain: &'a Buffer,
    ) -> Result<Normed<'a>> {
        match left {
            Some(left) => Ok(left),
            None => self.record_norm(plan, (&self.scratch.residual, 0, rows), gain),
        }
    }

    /// Normed rows: in texels where those are what is read, else left to the multiplication that reads them,
    /// where that costs it little.
    fn record_norm<'a>(
        &'a self,
        plan: &mut PlanBuilder,
        (x, row, rows): (&'a Buffer, usize, StepRows),
        gain: &'a Buffer,
    ) -> Result<Normed<'a>> {
        let (s, eps) = (&self.scratch, self.config.rms_eps);
        let texels = Squares::NORMED.texels(rows.count, self.config.width);
        if self.q8.is_none() && matmul::reads_scaled(&self.gpu, texels) {
            plan.scratch(Slot::SCALED, texels);
            let x = (x, row, rows.count);
            stage::record(plan, x, self.config.width, Some((gain, eps)), &Slot::SCALED)?;
            return Ok(Normed::scaled(rows, Squares::NORMED));
        }
        if self.q8.is_none() && matmul::norms_cheaply(self.gpu.caps(), rows.kernels_for) {
            let x = (x, row, rows.count).into();
            return Ok(Normed { x, rows, norm: Some((gain, eps)), q8: None });
        }
        let width = self.config.width;
        rms_norm::record(plan, (x, row), gain, &s.normed, (rows.count, width), eps)?;
        self.plain(plan, &s.normed, (rows, width))
    }

    fn residual(&self) -> matmul::Output<'_> {
        let (y, stride) = (&self.scratch.residual, ops::stride(self.config.width));
        matmul::Output { y, stride, at: 0, accumulate: true }
    }
}
