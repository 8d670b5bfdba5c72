import Kernels

/// One pass over the vocabulary for two heads side by side: the student's logits and the teacher's
/// are made again panel by panel, their distance is added up, and what pulls at the student's logits
/// is carried back through its head. No more than two panels of logits exist at once.
///
/// Both logsumexp are known beforehand, so that one pass does: three products a panel with the
/// gradient, two without.
struct DistanceStream {
  private static let block = 256
  private static let panelNumbers = 1 << 20
  private static let mostPanelRows = 2048

  let distance: LogitDistance
  /// The student's head [V, d] and the teacher's [V, d of the teacher].
  let student: MatrixView
  let teacher: MatrixView

  struct Side {
    var vectors: UnsafePointer<Float>
    var logSumExp: [Float]
  }

  struct Result {
    /// The distance [positions].
    var values: [Double]
    /// Σ pull [positions].
    var pulls: [Double]
    /// Wᵀ pull [positions, d]; nil without a gradient.
    var average: Buffer?
  }

  func run(_ student: Side, _ teacher: Side, positions: Int, gradient: Bool) -> Result {
    var result = Result(
      values: [Double](repeating: 0, count: positions),
      pulls: [Double](repeating: 0, count: positions),
      average: gradient ? Buffer(zeros: positions * self.student.columns) : nil)
    let average = result.average?.pointer
    let multiplier = Multiplier.current
    let ours = multiplier.factor(student.vectors, positions * self.student.columns)
    let theirs = multiplier.factor(teacher.vectors, positions * self.teacher.columns)
    result.values.withUnsafeMutableBufferPointer { values in
      result.pulls.withUnsafeMutableBufferPointer { pulls in
        nonisolated(unsafe) let (values, pulls) = (values, pulls)
        parallelFor(positions, grain: 8) {
          stream(
            (ours, student.logSumExp), (theirs, teacher.logSumExp), $0, values: values,
            pulls: pulls, average: average, multiplier)
        }
      }
    }
    return result
  }

  /// The whole vocabulary for the positions of one thread.
  private func stream(
    _ s: (vectors: Factor, logSumExp: [Float]), _ t: (vectors: Factor, logSumExp: [Float]),
    _ positions: Range<Int>, values: UnsafeMutableBufferPointer<Double>,
    pulls: UnsafeMutableBufferPointer<Double>, average: UnsafeMutablePointer<Float>?,
    _ multiplier: Multiplier
  ) {
    let widest = max(student.columns, teacher.columns)
    let rowsOfPanel = max(16, min(Self.panelNumbers / widest, Self.mostPanelRows, student.rows))
    let panels = (
      Panels(student, rows: rowsOfPanel, multiplier), Panels(teacher, rows: rowsOfPanel, multiplier)
    )
    let count = min(Self.block, positions.count) * rowsOfPanel
    let logits = (Buffer(count: count), Buffer(count: count))
    let pullsOfBlock = FactorPanel(multiplier, count: average == nil ? 0 : count)
    defer { withExtendedLifetime(logits) {} }
    for start in stride(from: 0, to: student.rows, by: rowsOfPanel) {
      let rows = start..<min(start + rowsOfPanel, student.rows)
      let ours = panels.0[rows], theirs = panels.1[rows]
      for first in stride(from: positions.lowerBound, to: positions.upperBound, by: Self.block) {
        let block = first..<min(first + Self.block, positions.upperBound)
        for (side, width, panel, z) in [
          (s, student.columns, ours, logits.0), (t, teacher.columns, theirs, logits.1),
        ] {
          multiplier.product(
            block.count, rows.count, width, a: side.vectors + first * width, lda: width,
            b: panel, ldb: width, transposeB: true, c: z.pointer, ldc: rows.count)
        }
        for (line, position) in block.enumerated() {
          let found = foldDistance(
            distance, student: logits.0.pointer + line * rows.count,
            teacher: logits.1.pointer + line * rows.count,
            logSumExp: (s.logSumExp[position], t.logSumExp[position]), rows.count)
          values[position] += Double(found.value)
          pulls[position] += Double(found.pulls)
        }
        if let average {
          multiplier.product(
            block.count, student.columns, rows.count,
            a: pullsOfBlock.fill(logits.0.pointer, block.count * rows.count), lda: rows.count,
            b: ours, ldb: student.columns,
            beta: 1, c: average + first * student.columns, ldc: student.columns)
        }
      }
    }
  }
}
