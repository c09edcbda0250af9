/** Kept equal to package.json by a test: the bundle stands alone and cannot read it. */
export const version = "0.1.0";
