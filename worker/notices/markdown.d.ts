/** For the test of what the documents show. */
declare module "*.md?raw" {
  const text: string;
  export default text;
}
