import Checkpoints
import Glibc
import Kernels
import Tensors

/// Qwen2-VL's vision encoder with its merger (transformers' `Qwen2VisionTransformerPretrainedModel`):
/// patches in, one embedding of the language model's width for each merge block out.
struct VisionEncoder {
  let config: Qwen2VLConfig
  let weights: Weights

  private var heads: AttentionHeads {
    let vision = config.vision
    return AttentionHeads(
      heads: vision.heads, keyValueHeads: vision.heads, size: vision.embedDimension / vision.heads)
  }

  /// The merged visual embeddings [visual tokens, text width] of the batch's patches.
  func callAsFunction(_ tape: Tape, _ batch: PackedBatch, checkpointing: Bool) -> Tensor {
    let vision = config.vision
    let patchSize =
      vision.inChannels * vision.temporalPatchSize * vision.patchSize * vision.patchSize
    let patches = Tensor(batch.patches, [batch.patches.count / patchSize, patchSize])
    var x = tape.linear(patches, weights["visual.patch_embed.proj.weight"])
    let (cosine, sine) = rotaryTables(batch)
    for layer in 0..<vision.depth {
      let step: (Tape, Tensor) -> Tensor = { tape, x in
        block(tape, x, layer, cosine: cosine, sine: sine, layout: batch.visionLayout)
      }
      x = checkpointing ? tape.checkpoint(x, step) : step(tape, x)
    }
    x = weights.layerNorm(tape, x, "visual.merger.ln_q")
    let merge = vision.spatialMergeSize * vision.spatialMergeSize
    x = x.reshaped([x.rows / merge, x.columns * merge])
    x = tape.gelu(weights.linear(tape, x, "visual.merger.mlp.0", bias: true))
    return weights.linear(tape, x, "visual.merger.mlp.2", bias: true)
  }

  private func block(
    _ tape: Tape, _ x: Tensor, _ layer: Int, cosine: Tensor, sine: Tensor, layout: AttentionLayout
  ) -> Tensor {
    let name = "visual.blocks.\(layer)"
    let x = tape.add(
      x, attention(tape, x, name, cosine: cosine, sine: sine, layout: layout))
    return tape.add(x, feedForward(tape, x, name))
  }

  // Functions of their own: what they hold in between is given back before the next one begins.

  private func attention(
    _ tape: Tape, _ x: Tensor, _ name: String, cosine: Tensor, sine: Tensor,
    layout: AttentionLayout
  ) -> Tensor {
    let (q, k, v) = projections(tape, x, name, cosine: cosine, sine: sine)
    let attended = tape.attention(q, k, v, heads: heads, layout: layout)
    return weights.linear(tape, attended, name + ".attn.proj", bias: true)
  }

  private func projections(
    _ tape: Tape, _ x: Tensor, _ name: String, cosine: Tensor, sine: Tensor
  ) -> (q: Tensor, k: Tensor, v: Tensor) {
    let d = config.vision.embedDimension
    let fused = weights.linear(
      tape, weights.layerNorm(tape, x, name + ".norm1"), name + ".attn.qkv", bias: true)
    func rotated(_ columns: Range<Int>) -> Tensor {
      tape.rotary(
        tape.columns(fused, columns), heads: heads.heads, cosine: cosine, sine: sine)
    }
    return (rotated(0..<d), rotated(d..<2 * d), tape.columns(fused, 2 * d..<3 * d))
  }

  private func feedForward(_ tape: Tape, _ x: Tensor, _ name: String) -> Tensor {
    let inner = tape.quickGELU(
      weights.linear(
        tape, weights.layerNorm(tape, x, name + ".norm2"), name + ".mlp.fc1", bias: true))
    return weights.linear(tape, inner, name + ".mlp.fc2", bias: true)
  }

  /// Cosine and sine [patches, head size / 2]: the first half of the frequencies turns with the
  /// patch's row, the second with its column.
  private func rotaryTables(_ batch: PackedBatch) -> (cosine: Tensor, sine: Tensor) {
    let quarter = heads.size / 4
    let frequencies = (0..<quarter).map { 1 / powf(10_000, Float($0) / Float(quarter)) }
    let count = batch.patchPositions.row.count
    let cosine = Tensor([count, 2 * quarter]), sine = Tensor([count, 2 * quarter])
    for i in 0..<count {
      for (j, frequency) in frequencies.enumerated() {
        let row = Float(batch.patchPositions.row[i]) * frequency
        let column = Float(batch.patchPositions.column[i]) * frequency
        let at = i * 2 * quarter + j
        cosine.values[at] = cosf(row)
        sine.values[at] = sinf(row)
        cosine.values[at + quarter] = cosf(column)
        sine.values[at + quarter] = sinf(column)
      }
    }
    return (cosine, sine)
  }
}
