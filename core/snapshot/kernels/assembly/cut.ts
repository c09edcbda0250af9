/**
 * The chunker's search for a cut, over a window of a chunk. The rule is in `chunker.ts`.
 *
 * A hash depends on the last 32 bytes alone, so that four stretches are looked at side by side, each begun 32 bytes
 * early: one chain of additions waits for itself, four do not. The first stretch with a hit wins.
 */
import { block, gear } from "./layout";

const stretch: usize = 1024;
const memory32: usize = 32;

// @ts-ignore: decorator
@inline
function next(h: u32, at: usize): u32 {
  return (h << 1) + load<u32>(gear + (<usize>load<u8>(at) << 2));
}

function warm(at: usize): u32 {
  let h: u32 = 0;
  for (let from = at - memory32; from < at; from++) h = next(h, from);
  return h;
}

function findOne(from: usize, end: usize, mask: u32): usize {
  for (let h = warm(from); from < end; from++) {
    h = next(h, from);
    if (!(h & mask)) return from + 1 - block;
  }
  return 0;
}

/**
 * The offset after the first byte at `at..at+bytes` of the window where the hash meets the mask, or 0. The 32 bytes
 * before `at` are there, or are what the chunk's hash began with.
 */
export function findMask(at: usize, bytes: usize, mask: u32): usize {
  let from = block + at;
  const end = from + bytes;
  for (; from + 4 * stretch <= end; from += 4 * stretch) {
    let a = warm(from);
    let b = warm(from + stretch);
    let c = warm(from + 2 * stretch);
    let d = warm(from + 3 * stretch);
    for (let i = from; i < from + stretch; i += 2) {
      a = next(a, i);
      b = next(b, i + stretch);
      c = next(c, i + 2 * stretch);
      d = next(d, i + 3 * stretch);
      const hit = i32(!(a & mask)) | i32(!(b & mask)) | i32(!(c & mask)) | i32(!(d & mask));
      a = next(a, i + 1);
      b = next(b, i + stretch + 1);
      c = next(c, i + 2 * stretch + 1);
      d = next(d, i + 3 * stretch + 1);
      if (hit | i32(!(a & mask)) | i32(!(b & mask)) | i32(!(c & mask)) | i32(!(d & mask))) {
        return findOne(from, from + 4 * stretch, mask);
      }
    }
  }
  return from < end ? findOne(from, end, mask) : 0;
}
