import Kernels
import Testing

/// A number that is infinite or none is found wherever it stands, in every type that holds floats.
@Suite struct FiniteTests {
  @Test(arguments: [ElementType.float32, .bfloat16, .float16], [1, 15, 16, 17, 40])
  func found(type: ElementType, count: Int) {
    let sound = (0..<count).map { Float($0) - 3 }
    func first(_ values: [Float]) -> Int? {
      let bytes = UnsafeMutableRawPointer.allocate(byteCount: 4 * count, alignment: 4)
      defer { bytes.deallocate() }
      narrow(values, count, to: type, at: bytes)
      return firstNonFinite(UnsafeRawPointer(bytes), type, count)
    }
    #expect(first(sound) == nil)
    for bad in [Float.nan, .infinity, -.infinity, -.nan] {
      for place in 0..<count {
        var values = sound
        values[place] = bad
        #expect(first(values) == place)
      }
    }
  }

  @Test("The largest finite numbers are sound, integers always")
  func edges() {
    let most = Float.greatestFiniteMagnitude
    let largest = [most, -most, 0, -0.0]
    #expect(firstNonFinite(largest, 4) == nil)
    #expect(firstNonFinite([Int32](repeating: -1, count: 20), .int32, 20) == nil)
  }
}
