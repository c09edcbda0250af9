/**
 * One element between its place in a block and its bytes in the planes. Bytewise, so that one text serves each width:
 * byte `j` of an element is its bits 8j..8j+7.
 *
 * To planes: residual, then rotation. xor: element ^ reference. zigzagSub: d = element - reference mod 2^w, then
 * `d << 1`, all bits inverted when d's highest bit was 1. left1: rotated left by one bit.
 */
import { type Layout, residuals, rotations } from "./format.ts";

const element = new Uint8Array(8);

export function splitElement(
  block: Uint8Array,
  reference: Uint8Array,
  planes: Uint8Array,
  index: number,
  elements: number,
  layout: Layout,
): void {
  const { stride, phase, residual } = layout;
  const from = phase + index * stride;
  if (residual === residuals.xor) {
    for (let j = 0; j < stride; j++) element[j] = block[from + j]! ^ reference[from + j]!;
  } else if (residual === residuals.zigzagSub) {
    let borrow = 0;
    for (let j = 0; j < stride; j++) {
      const difference = block[from + j]! - reference[from + j]! - borrow;
      element[j] = difference;
      borrow = difference < 0 ? 1 : 0;
    }
    const mask = element[stride - 1]! >= 128 ? 255 : 0;
    shiftLeft(stride, 0);
    for (let j = 0; j < stride; j++) element[j]! ^= mask;
  } else {
    for (let j = 0; j < stride; j++) element[j] = block[from + j]!;
  }
  if (layout.rotation === rotations.left1) shiftLeft(stride, element[stride - 1]! >> 7);
  for (let j = 0; j < stride; j++) planes[j * elements + index] = element[j]!;
}

export function mergeElement(
  block: Uint8Array,
  reference: Uint8Array,
  planes: Uint8Array,
  index: number,
  elements: number,
  layout: Layout,
): void {
  const { stride, phase, residual } = layout;
  const from = phase + index * stride;
  for (let j = 0; j < stride; j++) element[j] = planes[j * elements + index]!;
  if (layout.rotation === rotations.left1) shiftRight(stride, element[0]! & 1);
  if (residual === residuals.xor) {
    for (let j = 0; j < stride; j++) element[j]! ^= reference[from + j]!;
  } else if (residual === residuals.zigzagSub) {
    const mask = (element[0]! & 1) === 1 ? 255 : 0;
    shiftRight(stride, 0);
    let carry = 0;
    for (let j = 0; j < stride; j++) {
      const sum = (element[j]! ^ mask) + reference[from + j]! + carry;
      element[j] = sum;
      carry = sum >> 8;
    }
  }
  for (let j = 0; j < stride; j++) block[from + j] = element[j]!;
}

/** By one bit; `low` comes in at the bottom. */
function shiftLeft(stride: number, low: number): void {
  for (let j = stride - 1; j > 0; j--) element[j] = (element[j]! << 1) | (element[j - 1]! >> 7);
  element[0] = (element[0]! << 1) | low;
}

/** By one bit; `high` comes in at the top. */
function shiftRight(stride: number, high: number): void {
  for (let j = 0; j < stride - 1; j++) element[j] = (element[j]! >> 1) | (element[j + 1]! << 7);
  element[stride - 1] = (element[stride - 1]! >> 1) | (high << 7);
}
