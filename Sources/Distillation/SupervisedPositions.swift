import Failures

/// What features and targets say of the supervised positions of a sample, as it is read.
enum SupervisedPositions {
  /// - Parameters:
  ///   - vocabulary: that the labels lie in; nil where it is not known.
  /// - Throws: `Failure(.badData)` naming the tensor: the positions rise, the labels are tokens.
  static func check(
    _ positions: [Int32], _ labels: [Int32], vocabulary: Int?, place: String
  ) throws {
    guard positions.count == labels.count else {
      throw Failure(
        .badData, "positions and labels differ in number", at: "\(place), tensor positions",
        expected: "\(labels.count)", found: "\(positions.count)")
    }
    var last: Int32 = -1
    for (row, position) in positions.enumerated() {
      guard position > last else {
        throw Failure(
          .badData, "the positions do not rise at row \(row)", at: "\(place), tensor positions",
          expected: "more than \(last)", found: "\(position)")
      }
      last = position
    }
    let most = vocabulary ?? Int(Int32.max)
    if let row = labels.firstIndex(where: { !(0..<most).contains(Int($0)) }) {
      throw Failure(
        .badData, "the label of row \(row) is no token", at: "\(place), tensor labels",
        expected: "0 to \(most - 1)", found: "\(labels[row])")
    }
  }
}
