import Testing

@testable import StageKit

@Suite struct MemoryPlanTests {
  @Test("Available memory is read from the system's own words, sizes are said in three digits")
  func reading() {
    let text = "MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:    2048000 kB\n"
    #expect(MemoryPlan.parse(text) == 2_048_000 * 1024)
    #expect(MemoryPlan.parse("nothing") == nil)
    #expect(MemoryPlan.text(0) == "1 MB")
    #expect(MemoryPlan.text(779_600_000) == "780 MB")
    #expect(MemoryPlan.text(4_310_000_000) == "4.3 GB")
  }
}
