import { initRans } from "./rans";

export { findMask, startCut } from "./cut";
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
  selectors,
  states,
  sums,
  words,
} from "./layout";
export { probe } from "./probe";
export { decode, encode } from "./rans";
export { merge, split } from "./transform";

initRans();
