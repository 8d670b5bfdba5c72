/// How the large products are computed: those of activations with a matrix that is stored or learns,
/// and of activations with each other, for such a matrix's gradient and in attention. All else is
/// float32 in any case.
public enum Precision: String, Sendable, CaseIterable {
  /// Factors and sums in float32: the reference.
  case float32
  /// Both factors rounded to bfloat16, sums in float32.
  case bfloat16
  /// As bfloat16, but what is not stored so already goes in as two numbers, the rounded one and what
  /// it left: twice the products with a checkpoint's weights, results near float32.
  case bfloat16x2

  /// Whether the processor multiplies bfloat16 itself (AVX-512 BF16, AMX). Elsewhere factors are
  /// rounded all the same, and multiplied in float32.
  public static var hasHardware: Bool { BFloat16Product.hasHardware }

  /// The fastest on this machine.
  public static var fastest: Precision { hasHardware ? .bfloat16 : .float32 }

  /// Of every kernel from now on. Set once, before the first kernel runs.
  public static var current: Precision {
    get { allCases[number.value] }
    set { number.value = newValue.place }
  }

  /// Runs `body` with this precision for the kernels that the calling thread starts.
  public func use<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Precision.number.with(place, body)
  }

  private static let number = ProcessNumber(0)
  private var place: Int { Precision.allCases.firstIndex(of: self) ?? 0 }
}
