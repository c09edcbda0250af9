/** Of the control plane, as its answers name it. */
export const version = "0.1.0";
