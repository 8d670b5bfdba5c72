import Failures
import TestSupport
import Testing

@testable import StageKit

@Suite struct LayerSelectionTests {
  @Test("Every fourth layer from the second: 7 of 28, 20 of 80, as in the paper")
  func rule() throws {
    let rule = LayerSelection.every(first: 2, step: 4)
    #expect(try rule.layers(of: 28, backbone: "2b") == [2, 6, 10, 14, 18, 22, 26])
    #expect(try rule.layers(of: 80, backbone: "72b").count == 20)
  }

  @Test("The form of --layers")
  func parsing() throws {
    #expect(try LayerSelection(parsing: "2,6,10") == .list([2, 6, 10]))
    #expect(try LayerSelection(parsing: "2, 6") == .list([2, 6]))
    #expect(try LayerSelection(parsing: "2:4") == .every(first: 2, step: 4))
    for text in ["", "a", "2,,3", "3,2", "2,2", "0", "-1", "2:", ":4", "2:0", "1:2:3"] {
      #expect(failure { _ = try LayerSelection(parsing: text) }?.code == .usage, "\(text)")
    }
  }

  @Test("A layer that the backbone does not have is refused")
  func outOfRange() {
    #expect(
      failure { _ = try LayerSelection.list([2, 9]).layers(of: 8, backbone: "x") }?.code
        == .badPreset)
    #expect(
      failure { _ = try LayerSelection.every(first: 9, step: 4).layers(of: 8, backbone: "x") }?
        .code == .badPreset)
  }
}
