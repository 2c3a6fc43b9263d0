import Collectives

/// Which classes a network takes for which, as it sees training images in evaluation mode, and groups of classes by that (SSAL:
/// "Contextual Classification Using Self-Supervised Auxiliary Models for Deep Neural Networks", ICPR 2020, after its authors' code):
///
///     M_yj = the mean of softmax(z_i)_j over the images i of class y,  S = ½(M + Mᵀ)
///
/// Groups are filled one after the other: the class without a group that is confused most with others without one begins it, and the one
/// that is confused most with the group joins until the group has 1.1 times the mean size (rounded down, the mean at least rounded up). Of
/// equal ones the lower class goes first.
package struct ConfusionGroups: Sendable {
  /// C × C.
  private let confusion: [Double]
  private let classes: Int

  /// - Parameter confusion: S, or anything symmetric, C × C; the diagonal is not read.
  package init(_ confusion: [Double], classes: Int) {
    precondition(confusion.count == classes * classes && classes > 0)
    (self.confusion, self.classes) = (confusion, classes)
  }

  /// S from the probabilities of this rank's images, row after row, and their classes: the same on every rank and for any number
  /// of them, since probabilities are rounded to a grid on which they add up exactly.
  package init(
    _ probabilities: [Double], of labels: [Int], classes: Int, _ communicator: any Communicator
  ) throws {
    var sums = [Double](repeating: 0, count: classes * classes + classes)
    for (image, label) in labels.enumerated() {
      for j in 0..<classes {
        sums[label * classes + j] += (probabilities[image * classes + j] * 0x1p36).rounded() * 0x1p-36
      }
      sums[classes * classes + label] += 1
    }
    try communicator.allreduce(&sums, .sum)
    let mean = (0..<classes * classes).map { sums[$0] / max(1, sums[classes * classes + $0 / classes]) }
    self.init(
      (0..<classes * classes).map { 0.5 * (mean[$0] + mean[$0 % classes * classes + $0 / classes]) }, classes: classes)
  }

  /// The group of each class, of `count` groups, 1 to C.
  package func groups(_ count: Int) -> [Int] {
    precondition((1...classes).contains(count))
    let size = max((classes + count - 1) / count, Int(1.1 * Double(classes) / Double(count)))
    var groups = [Int](repeating: -1, count: classes)
    for group in 0..<count {
      let free = groups.indices.filter { groups[$0] < 0 }
      // Those that come after have one class each at least.
      let most = min(size, free.count - (count - 1 - group))
      /// Of each class, its confusion with the group, or at first with all that are free.
      var strengths = [Double](repeating: 0, count: classes)
      for y in free { for j in free where j != y { strengths[y] += confusion[y * classes + j] } }
      for member in 0..<most {
        guard let next = best(strengths, groups) else { break }
        if member == 0 { strengths = [Double](repeating: 0, count: classes) }
        groups[next] = group
        for y in free { strengths[y] += confusion[y * classes + next] }
      }
    }
    return groups
  }

  /// The first of the strongest classes without a group.
  private func best(_ strengths: [Double], _ groups: [Int]) -> Int? {
    groups.indices.filter { groups[$0] < 0 }.max {
      strengths[$0] != strengths[$1] ? strengths[$0] < strengths[$1] : $0 > $1
    }
  }

  /// The share of what is confused at all that stays within groups.
  package func within(_ groups: [Int]) -> Double {
    var within = 0.0, all = 0.0
    for y in 0..<classes {
      for j in 0..<classes where j != y {
        all += confusion[y * classes + j]
        if groups[y] == groups[j] { within += confusion[y * classes + j] }
      }
    }
    return all > 0 ? within / all : 0
  }
}
