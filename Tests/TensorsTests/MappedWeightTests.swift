import Kernels
import Tensors
import Testing

/// Weights as they lie in a checkpoint, bf16 and f16, act as their widened copies.
@Suite struct MappedWeightTests {
  /// Stands for the mapping that a checkpoint holds open.
  private final class Bytes {
    let pointer: UnsafeMutableRawPointer

    init(_ values: [Float], _ type: ElementType) {
      pointer = .allocate(byteCount: values.count * type.size, alignment: 64)
      narrow(values, values.count, to: type, at: pointer)
    }

    deinit { pointer.deallocate() }
  }

  private func pair(_ shape: [Int], _ type: ElementType, _ draw: inout Draw) -> (
    mapped: Parameter, wide: Parameter
  ) {
    let seeds = draw.numbers(991)
    let bytes = Bytes((0..<shape.reduce(1, *)).map { seeds[$0 % 991] }, type)
    let mapped = Parameter("w", shape: shape, mapped: bytes.pointer, type: type, owner: bytes)
    return (mapped, Parameter("w", shape: shape, values: mapped.array))
  }

  private func close(_ a: [Float], _ b: [Float]) -> Bool {
    let scale = b.map(abs).max() ?? 0
    return a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 3e-6 * scale }
  }

  @Test(arguments: [ElementType.bfloat16, .float16]) func everyOp(type: ElementType) {
    var draw = Draw(13)
    // The second is wider than a panel in both directions.
    for (rows, columns) in [(37, 24), (30, 40_000)] {
      let (mapped, wide) = pair([rows, columns], type, &draw)
      let bias = pair([rows], type, &draw), norm = pair([columns], type, &draw)
      let values = draw.numbers(3 * columns)
      func run(_ w: Parameter, _ b: Parameter, _ n: Parameter) -> (y: [Float], dx: [Float]) {
        let tape = Tape(recording: true)
        let x = Tensor(values, [3, columns], needsGradient: true)
        let y = tape.linear(tape.rmsNorm(x, n, epsilon: 1e-6), w, bias: b)
        tape.backward(tape.squaredDistance(y, to: Tensor(Buffer(zeros: y.count).array, y.shape)))
        return (y.array, x.gradient ?? [])
      }
      let narrow = run(mapped, bias.mapped, norm.mapped), float = run(wide, bias.wide, norm.wide)
      #expect(close(narrow.y, float.y), "\(rows) × \(columns)")
      #expect(close(narrow.dx, float.dx), "\(rows) × \(columns)")
      let tape = Tape(recording: false)
      let ids: [Int32] = [0, Int32(rows - 1), 0]
      #expect(tape.embedding(ids, mapped).array == tape.embedding(ids, wide).array)
    }
  }

  @Test(arguments: [ElementType.bfloat16, .float16, .float32])
  func learningTakesACopy(type: ElementType) {
    var draw = Draw(14)
    let (mapped, wide) = pair([5, 8], type, &draw)
    let before = mapped.array
    #expect(mapped.mutableValues == nil && mapped.gradientSum() == nil)
    mapped.train()
    wide.train()
    for parameter in [mapped, wide] {
      let tape = Tape(recording: true)
      let y = tape.linear(Tensor([1, 2, 3, 4, 5, 6, 7, 8], [1, 8]), parameter)
      tape.backward(tape.squaredDistance(y, to: Tensor([0, 0, 0, 0, 0], [1, 5])))
      AdamW([parameter], AdamW.Settings()).step(learningRate: 0.1)
    }
    #expect(mapped.array == wide.array)
    #expect(mapped.array != before)
  }
}
