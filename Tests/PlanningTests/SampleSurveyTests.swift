import Foundation
import StageKit
import TestSupport
import Testing
import Training

@testable import Planning

@Suite struct PassTests {
  @Test("Samples fall into passes of at most so many samples and tokens, a longer one alone")
  func passes() {
    let lengths = [5, 5, 5, 9, 20, 1, 1, 1]
    #expect(
      MicroBatches.passes(lengths, samples: 4, tokens: 10) == [[0, 1], [2], [3], [4], [5, 6, 7]])
    #expect(MicroBatches.passes(lengths, samples: 8, tokens: 1000) == [[0, 1, 2, 3, 4, 5, 6, 7]])
    #expect(MicroBatches.passes(lengths, samples: 1, tokens: 1000).count == 8)
    #expect(MicroBatches.passes([], samples: 3, tokens: 10).isEmpty)
    // Every sample once, in order, whatever the bounds.
    for (samples, tokens) in [(1, 1), (2, 6), (3, 11), (5, 25)] {
      let passes = MicroBatches.passes(lengths, samples: samples, tokens: tokens)
      #expect(passes.joined().elementsEqual(lengths.indices))
      #expect(passes.allSatisfy { !$0.isEmpty && $0.count <= samples })
      #expect(
        passes.allSatisfy { pass in
          pass.count == 1 || pass.reduce(0) { $0 + lengths[$1] } <= tokens
        })
    }
  }

  @Test("Groups hold what their limit allows, a dearer item goes alone")
  func groups() throws {
    var groups: [[Int]] = []
    try forEachGroup(
      [3, 1, 1, 8, 2, 2], limit: 4, read: { $0 }, cost: { $0 }, { groups.append($0) })
    #expect(groups == [[3, 1], [1], [8], [2, 2]])
  }
}
