import { initRans } from "./rans";

export { findMask } from "./cut";
export { assignGroups, countGroups, sumGroups } from "./groups";
export {
  block,
  costs,
  counts,
  entropyTable,
  frequencies,
  gear,
  layoutCosts,
  planes,
  reference,
  repeatCounts,
  selectors,
  states,
  sums,
  words,
} from "./layout";
export { probe } from "./probe";
export { clearRepeats, countRepeats } from "./repeats";
export { decode, encode } from "./rans";
export { merge, split } from "./transform";

initRans();
