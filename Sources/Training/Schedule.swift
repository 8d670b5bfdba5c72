import Foundation

/// The learning rate by step: a linear warm-up, then a cosine from `initial` to `final`. A stage
/// may train on a later part of the same cosine: `offset` steps of it are behind when it starts.
public struct CosineSchedule: Sendable, Equatable {
  public var initial: Double
  public var final: Double
  public var warmupSteps: Int
  public var offset: Int
  /// The length of the whole cosine, warm-up included.
  public var length: Int

  public init(initial: Double, final: Double, warmupSteps: Int = 0, offset: Int = 0, length: Int) {
    self.initial = initial
    self.final = final
    self.warmupSteps = warmupSteps
    self.offset = offset
    self.length = length
  }

  /// The learning rate of the stage's own step `step`, from 0.
  public func learningRate(_ step: Int) -> Double {
    let place = step + offset
    if place < warmupSteps { return initial * Double(place + 1) / Double(warmupSteps) }
    let progress = Double(place - warmupSteps) / Double(max(1, length - warmupSteps))
    return final + (initial - final) * 0.5 * (1 + cos(.pi * min(1, progress)))
  }
}
