import COneDNN
import COpenBLAS
import Glibc

/// Which of its kernels OpenBLAS multiplies with.
///
/// It knows processors by their model number. Releases before 0.3.25 (Debian 12 has 0.3.21) give Intel's
/// that are newer than they are the kernels of a Pentium 4, an eighth as fast (OpenMathLib/OpenBLAS,
/// pull request 4268), and AMD's with AVX-512 those for AVX2. So what the processor can do decides here,
/// as in later releases.
public enum OpenBLASCore {
  /// The kernels in use: `Haswell`, `Cooperlake` and so on.
  public static var name: String {
    settle()
    return String(cString: openblas_get_corename())
  }

  /// Chooses once, before the first product. OpenBLAS stays single-threaded: our own split over rows
  /// or columns keeps results a function of the thread count, and lets kernels call it from inside
  /// their own parallel loops.
  @inline(__always)
  static func settle() { _ = settled }

  private static let settled: Void = {
    if getenv("OPENBLAS_CORETYPE") == nil,
      let better = better(
        than: String(cString: openblas_get_corename()),
        abilities: dnnl_get_effective_cpu_isa().rawValue)
    {
      openblas_choose_core(better)
    }
    openblas_set_num_threads(1)
  }()

  /// The kernels to choose in place of those `chosen`, if some suit the processor better.
  ///
  /// - Parameter abilities: instruction sets as oneDNN tells them, a bit each.
  static func better(than chosen: String, abilities: UInt32) -> String? {
    func can(_ isa: dnnl_cpu_isa_t) -> Bool { abilities & isa.rawValue == isa.rawValue }
    let widest = ["skylakex", "cooperlake", "sapphirerapids"]
    let wide = ["haswell", "zen"] + widest
    let name = chosen.lowercased()
    if can(dnnl_cpu_isa_avx512_core) {
      return widest.contains(name)
        ? nil : can(dnnl_cpu_isa_avx512_core_bf16) ? "Cooperlake" : "SkylakeX"
    }
    return can(dnnl_cpu_isa_avx2) && !wide.contains(name) ? "Haswell" : nil
  }
}
