import Distillation
import Kernels
import Models
import Tensors

/// The inner loops at the widths of a model, each by itself.
struct KernelRows {
  let config: any ModelConfig
  private var text: TextConfig { config.text }

  var all: [Row] {
    [
      product, inputGradient, weightGradient, oneRow, attention(causal: true),
      attention(causal: false), head(positions: SampleShape.supervised), head(positions: 512),
      rounding, optimizer(.float32), optimizer(.blockwise8),
    ]
  }

  // MARK: Products

  private var n: Int { SampleShape.tokens }
  private var d: Int { text.hiddenSize }
  private var inner: Int { text.intermediateSize }

  /// Activations [n, d] and [n, inner] with a matrix [inner, d].
  private func product(
    _ name: String, _ shape: String, prepare: @escaping (_ x: Buffer, _ y: Buffer) -> () -> Void
  ) -> Row {
    Row(name: name, shape: shape) {
      let multiply = prepare(RandomNumbers.float32(n * d), RandomNumbers.float32(n * inner))
      let operations = 2 * Double(n) * Double(d) * Double(inner)
      return Work(needs: Limit.products(operations), rate: Work.operations(operations)) {
        seconds(multiply)
      }
    }
  }

  /// A stored matrix [rows, d] of bfloat16.
  private func matrix(_ weight: Buffer, rows: Int) -> MatrixView {
    MatrixView(weight.pointer, type: .bfloat16, rows: rows, columns: d)
  }

  private var product: Row {
    product("product", "[\(n), \(d)] [\(inner), \(d)]ᵀ") { x, y in
      let weight = RandomNumbers.bfloat16(inner * d)
      return { multiply(x.pointer, n, transposed: matrix(weight, rows: inner), into: y.pointer) }
    }
  }

  private var inputGradient: Row {
    product("product-input-gradient", "[\(n), \(inner)] [\(inner), \(d)]") { x, y in
      let weight = RandomNumbers.bfloat16(inner * d)
      return { multiply(y.pointer, n, by: matrix(weight, rows: inner), into: x.pointer) }
    }
  }

  private var weightGradient: Row {
    product("product-weight-gradient", "[\(n), \(inner)]ᵀ [\(n), \(d)]") { x, y in
      let sum = Buffer(zeros: inner * d)
      return {
        multiply(
          y.pointer, transposedBy: x.pointer, n, rows: inner, columns: d, beta: 0,
          into: sum.pointer)
      }
    }
  }

  /// Of a token with the language head, which no cache holds.
  private var oneRow: Row {
    let rows = text.vocabularySize
    return Row(name: "product-one-row", shape: "[1, \(d)] [\(rows), \(d)]ᵀ") {
      let x = RandomNumbers.float32(d), y = Buffer(count: rows)
      let weight = RandomNumbers.bfloat16(rows * d)
      let bytes = 2 * Double(rows * d)
      return Work(needs: [.read: bytes], rate: Work.rate(bytes, "GB/s", each: 1e9)) {
        seconds {
          multiply(x.pointer, 1, transposed: matrix(weight, rows: rows), into: y.pointer)
        }
      }
    }
  }

  /// Activations of a whole pass as products of bfloat16 take them.
  private var rounding: Row {
    let rows = 4096
    return Row(name: "rounding", shape: "[\(rows), \(inner)]") {
      let count = rows * inner
      let x = RandomNumbers.float32(count)
      let bytes = (
        read: 4 * Double(count), written: (Precision.hasHardware ? 2 : 4) * Double(count)
      )
      return Work(
        needs: [.read: bytes.read, .write: bytes.written],
        rate: Work.rate(bytes.read + bytes.written, "GB/s", each: 1e9)
      ) {
        Precision.bfloat16.use { seconds { _ = Multiplier.current.factor(x.pointer, count) } }
      }
    }
  }

  // MARK: Attention

  /// What is hidden is not counted: it need not be computed.
  private func attention(causal: Bool) -> Row {
    let rows = causal ? n : SampleShape.patches
    // Every family's vision encoder has sixteen heads.
    let heads =
      causal
      ? text.block.attention
      : AttentionHeads(heads: 16, keyValueHeads: 16, size: config.encoder.width / 16)
    let width = heads.heads * heads.size, keyWidth = heads.keyValueHeads * heads.size
    return Row(
      name: causal ? "attention-causal" : "attention-vision",
      shape: "[\(rows), \(heads.heads) × \(heads.size)]"
    ) {
      let q = RandomNumbers.float32(rows * width), k = RandomNumbers.float32(rows * keyWidth)
      let out = Buffer(count: rows * width)
      let layout = AttentionLayout(samples: [[.init(rows: 0..<rows)]], causal: causal)
      let operations = (causal ? 2 : 4) * Double(rows) * Double(rows) * Double(width)
      return Work(needs: [.sgemm: operations], rate: Work.operations(operations)) {
        seconds {
          Kernels.attention(
            q: q.pointer, k: k.pointer, v: k.pointer, layout: layout, heads: heads,
            into: out.pointer)
        }
      }
    }
  }

  // MARK: The rest of a step

  /// Log-sum-exp, entropy and expectation of positions: two products with the head.
  private func head(positions: Int) -> Row {
    let rows = text.vocabularySize
    return Row(
      name: "head-\(positions)", shape: "[\(positions), \(d)] [\(rows), \(d)]ᵀ, softmax, back"
    ) {
      let weight = RandomNumbers.bfloat16(rows * d)
      let head = LanguageHead(matrix(weight, rows: rows), owner: weight)
      let vectors = RandomNumbers.float32(positions * d)
      let operations = 4 * Double(positions) * Double(rows) * Double(d)
      return Work(needs: Limit.products(operations), rate: Work.operations(operations)) {
        seconds {
          _ = head.read(vectors.pointer, positions: positions, [.expectation, .entropy])
        }
      }
    }
  }

  private func optimizer(_ moments: AdamW.MomentStorage) -> Row {
    let count = 1 << 24
    return Row(
      name: moments == .float32 ? "adamw" : "adamw-8bit", shape: "\(count >> 20) Mi weights"
    ) {
      let weight = Parameter(
        "weight", shape: [count], values: [Float](repeating: 0.1, count: count), trainable: true)
      let optimizer = AdamW([weight], AdamW.Settings(moments: moments))
      return Work(
        needs: OptimizerBytes.needs(weights: count, moments),
        rate: { (1e9 * $0 / Double(count), "ns a weight") }
      ) {
        weight.gradientSum()?.update(repeating: 0.01, count: count)
        return seconds { optimizer.step(learningRate: 1e-5) }
      }
    }
  }
}

/// What an AdamW step reads and writes.
enum OptimizerBytes {
  /// The gradient once for its norm and once for the step; weights and moments to and fro.
  static func needs(weights: Int, _ moments: AdamW.MomentStorage) -> [Limit: Double] {
    let moment = moments == .float32 ? 8 : 2 * (1 + 4 / 256.0)
    return [
      .read: (8 + 4 + moment) * Double(weights), .write: (4 + moment) * Double(weights),
    ]
  }
}
