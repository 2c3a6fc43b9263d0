import Foundation
import TestSupport
import Testing

import Training

@Suite struct HostMemoryTests {
  private func put(_ folder: TemporaryFolder, _ files: KeyValuePairs<String, String>) throws -> String {
    for (name, text) in files {
      let path = "\(folder.path)/\(name)", parent = path[..<path.lastIndex(of: "/")!]
      try FileManager.default.createDirectory(atPath: String(parent), withIntermediateDirectories: true)
      try text.write(toFile: path, atomically: false, encoding: .utf8)
    }
    return folder.path
  }

  @Test func theHostsMemoryCountsSwapAndWhatGivesWay() {
    let table = "MemTotal:  100 kB\nMemFree:  1 kB\nMemAvailable:   50 kB\nSwapFree: 7 kB\n"
    #expect(HostMemory.hostBytes(table) == 57 * 1024)
    #expect(HostMemory.hostBytes("MemAvailable: 50 kB\n") == 50 * 1024)
    #expect(HostMemory.hostBytes("") == .max)
    #expect(HostMemory.available().bytes > 1 << 20)
  }

  @Test func controlGroupsOfVersion2() throws {
    let folder = try TemporaryFolder()
    let root = try put(
      folder,
      [
        "memory.max": "max\n", "a/memory.max": "1000\n", "a/memory.current": "700\n",
        "a/memory.stat": "anon 100\ninactive_file 300\nfile 400\n", "a/b/memory.max": "900\n",
        "a/b/memory.current": "100\n",
      ])
    // The cache of files gives way; every group on the way up counts.
    #expect(HostMemory.containerLimits(root: root, groups: "0::/a/b\n").sorted() == [600, 800])
    #expect(HostMemory.containerLimits(root: root, groups: "0::/\n").isEmpty)
    #expect(HostMemory.containerLimits(root: root, groups: "").isEmpty)
    // In a container, whose own group is the root that it sees.
    let inner = try TemporaryFolder()
    _ = try put(inner, ["memory.max": "5000\n", "memory.current": "6000\n"])
    #expect(HostMemory.containerLimits(root: inner.path, groups: "0::/\n") == [0])
  }

  @Test func controlGroupsOfVersion1() throws {
    let folder = try TemporaryFolder()
    let root = try put(
      folder,
      [
        "memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/c/memory.limit_in_bytes": "1000\n",
        "memory/c/memory.usage_in_bytes": "400\n", "memory/c/memory.stat": "cache 1\ntotal_inactive_file 50\n",
      ])
    let groups = "5:cpu,cpuacct:/c\n4:memory:/c\n0::/elsewhere\n"
    #expect(HostMemory.containerLimits(root: root, groups: groups) == [650])
  }

  @Test func quotasOfCores() {
    #expect(Affinity.quota("200000 100000\n") == 2 && Affinity.quota("150000 100000") == 1.5)
    #expect(Affinity.quota("max 100000\n") == nil && Affinity.quota("-1\n 100000\n") == nil)
    #expect(Affinity.quota("") == nil && Affinity.quota(nil) == nil && Affinity.quota("1 0") == nil)
  }
}

@Suite struct AgreementDifferenceTests {
  @Test func theFirstDifferenceIsNamed() {
    #expect(Agreement.difference(["a", "b", "c"], ["a", "x", "c"]) == "item 2 is b here, x on rank 0")
    #expect(
      Agreement.difference(["a", "c"], ["a", "b", "c"]) == "2 here, 3 on rank 0; item 2 is c here, b on rank 0")
    #expect(Agreement.difference(["a"], ["a", "b"]) == "1 here, 2 on rank 0; the first that only one has: b")
    #expect(Agreement.difference(["a", "b"], ["a"]) == "2 here, 1 on rank 0; the first that only one has: b")
  }
}
