import Testing

@testable import Kernels

@Suite struct SquareRootTests {
  @Test func squareRootsAreThoseOfTheProcessor() {
    var generator = SplitMix64(seed: 7)
    for exponent in -125...127 {
      var x = SIMD8<Float>()
      for lane in 0..<8 {
        x[lane] = Float(
          sign: .plus, exponent: exponent, significand: 1 + Float(generator.uniform()))
      }
      let found = squareRoot(x)
      for lane in 0..<8 {
        let right = x[lane].squareRoot()
        #expect(abs(found[lane] - right) <= right.ulp)
      }
    }
    let edges = squareRoot(SIMD8<Float>(0, .infinity, .nan, 1, 4, 1e-40, 0.25, 9))
    #expect(edges[0] == 0 && edges[1] > 1e19 && edges[1].isFinite && edges[2].isNaN)
    #expect(edges[3] == 1 && edges[4] == 2 && edges[6] == 0.5 && edges[7] == 3)
    #expect(edges[5] >= 0 && edges[5] < 1.1e-20)
  }
}
