//! Loops to Cranelift's IR: one function for each step and for the body of each parallel loop.
//!
//! Every function takes the *frame* (an array of words: the host's state, the address of every buffer, the variables
//! of loops round a parallel one) and the worker's *scratch* memory, whose first words take the site and value of a
//! fault. The body of a parallel loop also takes the part of the range it is to run. All give 0, or 1 after a fault.

use crate::expr::ReduceOp;
use crate::id::Id;
use crate::loops::{Address, BufferId, For, Loops, Mapped, Number, Op, Place, Stmt, Type, ValueId, VarId};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, Signature,
    UserExternalName, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use einc_runtime::DType;
use std::collections::{BTreeMap, HashMap};

/// Words of the frame before the buffers' addresses: the host's state.
pub(super) const FRAME_HEAD: usize = 1;
/// Bytes of scratch memory before the loops' own: site and value of a fault.
pub(super) const SCRATCH_HEAD: usize = 64;

/// A function that code calls or defines; its place in the table is its number.
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) signature: Signature,
    /// The code, unless the host has it.
    pub(super) code: Option<Function>,
}

/// The functions of a program.
pub(super) struct Unit {
    pub(super) symbols: Vec<Symbol>,
    /// The number of the function that runs the whole program.
    pub(super) main: usize,
}

/// Translates a program.
pub(super) fn translate(loops: &Loops, config: TargetFrontendConfig, fma: bool) -> Unit {
    let mut unit = Unit { symbols: Vec::new(), main: 0 };
    let mut context = FunctionBuilderContext::new();
    let mut assigned = HashMap::new();
    loops.steps.iter().for_each(|step| count_assignments(step, &mut assigned));
    let mut shared = Shared { loops, config, fma, assigned, unit: &mut unit };
    let steps: Vec<usize> = loops
        .steps
        .iter()
        .enumerate()
        .map(|(number, step)| shared.function(&format!("step{number}"), &mut context, Kind::Step(step)))
        .collect();
    let main = match steps[..] {
        [only] => only,
        _ => shared.function("main", &mut context, Kind::Main(&steps)),
    };
    unit.main = main;
    unit
}

fn count_assignments(list: &[Stmt], counts: &mut HashMap<ValueId, u32>) {
    for stmt in list {
        match stmt {
            Stmt::Let(value, _) | Stmt::Fold(value, _) => *counts.entry(*value).or_insert(0) += 1,
            Stmt::For(looped) => count_assignments(&looped.body, counts),
            Stmt::If(_, then, otherwise) => {
                count_assignments(then, counts);
                count_assignments(otherwise, counts);
            }
            _ => {}
        }
    }
}

/// Whether there is a matrix product inside a parallel loop.
pub(super) fn has_gemm_alone(list: &[Stmt], inside: bool) -> bool {
    list.iter().any(|stmt| match stmt {
        Stmt::Gemm(..) => inside,
        Stmt::For(looped) => has_gemm_alone(&looped.body, inside || looped.parallel),
        Stmt::If(_, then, otherwise) => has_gemm_alone(then, inside) || has_gemm_alone(otherwise, inside),
        _ => false,
    })
}

/// Whether there is a parallel loop in a list.
pub(super) fn has_parallel(list: &[Stmt]) -> bool {
    list.iter().any(|stmt| match stmt {
        Stmt::For(looped) => looped.parallel || has_parallel(&looped.body),
        Stmt::If(_, then, otherwise) => has_parallel(then) || has_parallel(otherwise),
        _ => false,
    })
}

struct Shared<'a> {
    loops: &'a Loops,
    config: TargetFrontendConfig,
    fma: bool,
    assigned: HashMap<ValueId, u32>,
    unit: &'a mut Unit,
}

/// What a function does.
enum Kind<'a> {
    Step(&'a [Stmt]),
    /// The body of a parallel loop, inside these loop variables.
    Part(&'a For, &'a [VarId]),
    /// Calls these functions in order.
    Main(&'a [usize]),
}

impl Shared<'_> {
    fn call_conv(&self) -> CallConv {
        self.config.default_call_conv
    }

    fn signature(&self, params: &[types::Type], result: Option<types::Type>) -> Signature {
        let mut signature = Signature::new(self.call_conv());
        signature.params.extend(params.iter().map(|&ty| AbiParam::new(ty)));
        signature.returns.extend(result.map(AbiParam::new));
        signature
    }

    /// The number of a function of the host.
    fn host(&mut self, name: &str, signature: Signature) -> usize {
        let found = self.unit.symbols.iter().position(|symbol| symbol.name == name);
        found.unwrap_or_else(|| {
            self.unit.symbols.push(Symbol { name: name.into(), signature, code: None });
            self.unit.symbols.len() - 1
        })
    }

    /// Translates one function and gives its number.
    fn function(&mut self, name: &str, context: &mut FunctionBuilderContext, kind: Kind) -> usize {
        let mut params = vec![types::I64; 2];
        if let Kind::Part(..) = kind {
            params.extend([types::I64; 2]);
        }
        let signature = self.signature(&params, Some(types::I32));
        let mut function = Function::with_name_signature(UserFuncName::default(), signature.clone());
        let mut parts = Vec::new();
        {
            let mut builder = FunctionBuilder::new(&mut function, context);
            let entry = builder.create_block();
            builder.append_block_params_for_function_params(entry);
            builder.switch_to_block(entry);
            builder.seal_block(entry);
            let params = builder.block_params(entry).to_vec();
            let failed = builder.create_block();
            let config = self.config;
            let mut translator = Translator {
                shared: self,
                builder,
                frame: params[0],
                scratch: params[1],
                alone: matches!(kind, Kind::Part(..)),
                failed,
                fails: false,
                bases: HashMap::new(),
                vars: Vec::new(),
                values: HashMap::new(),
                registers: HashMap::new(),
                constants: HashMap::new(),
                imported: HashMap::new(),
                parts: Vec::new(),
            };
            translator.body(&kind, &params);
            let Translator { mut builder, fails, parts: found, .. } = translator;
            let zero = builder.ins().iconst(types::I32, 0);
            builder.ins().return_(&[zero]);
            builder.switch_to_block(failed);
            builder.seal_block(failed);
            if fails {
                builder.set_cold_block(failed);
            }
            let one = builder.ins().iconst(types::I32, 1);
            builder.ins().return_(&[one]);
            builder.finalize(config);
            parts.extend(found);
        }
        let number = self.unit.symbols.len();
        self.unit.symbols.push(Symbol { name: name.into(), signature, code: None });
        // Calls of parts were written against numbers that are only known now.
        let mut numbers = BTreeMap::new();
        for (k, (part, vars)) in parts.into_iter().enumerate() {
            let name = format!("{name}_part{k}");
            numbers.insert(k, self.function(&name, context, Kind::Part(&part, &vars)));
        }
        for (reference, name) in function.params.user_named_funcs().clone().iter() {
            if name.namespace == 1 {
                let index = numbers[&(name.index as usize)] as u32;
                function.params.reset_user_func_name(reference, UserExternalName { namespace: 0, index });
            }
        }
        function.name = UserFuncName::user(0, number as u32);
        self.unit.symbols[number].code = Some(function);
        number
    }
}

/// One function under translation.
pub(super) struct Translator<'a, 'b, 'f> {
    shared: &'a mut Shared<'b>,
    pub(super) builder: FunctionBuilder<'f>,
    frame: Value,
    scratch: Value,
    /// Whether this runs inside a parallel loop.
    alone: bool,
    failed: Block,
    fails: bool,
    /// The address of each buffer in use, loaded at entry.
    bases: HashMap<BufferId, Value>,
    /// Loop variables in scope, outermost first.
    vars: Vec<(VarId, Variable)>,
    values: HashMap<ValueId, Value>,
    registers: HashMap<ValueId, Variable>,
    /// Values known to be one integer in all lanes.
    pub(super) constants: HashMap<ValueId, Number>,
    imported: HashMap<(u32, usize), FuncRef>,
    /// The parallel loops found, with the variables of the loops round them.
    parts: Vec<(For, Vec<VarId>)>,
}

impl Translator<'_, '_, '_> {
    pub(super) fn fma(&self) -> bool {
        self.shared.fma
    }

    fn body(&mut self, kind: &Kind, params: &[Value]) {
        match kind {
            Kind::Step(list) => {
                self.load_bases(list);
                self.list(list);
            }
            Kind::Main(steps) => {
                for &step in *steps {
                    let reference = self.import(0, step, None);
                    let call = self.builder.ins().call(reference, &[self.frame, self.scratch]);
                    let failed = self.builder.inst_results(call)[0];
                    self.fail_if(failed);
                }
            }
            Kind::Part(looped, outer) => {
                self.load_bases(&looped.body);
                for (slot, &var) in outer.iter().enumerate() {
                    let offset = self.var_slot(slot);
                    let value =
                        self.builder.ins().load(types::I64, MemFlagsData::trusted(), self.frame, offset);
                    let variable = self.builder.declare_var(types::I64);
                    self.builder.def_var(variable, value);
                    self.vars.push((var, variable));
                }
                self.run(looped, params[2], params[3]);
            }
        }
    }

    /// Where the frame holds the variable of the loop at that depth.
    fn var_slot(&self, depth: usize) -> i32 {
        ((FRAME_HEAD + self.shared.loops.buffers.len() + depth) * 8) as i32
    }

    fn load_bases(&mut self, list: &[Stmt]) {
        let mut used = std::collections::BTreeSet::new();
        collect_buffers(list, &mut used);
        for buffer in used {
            let value = match self.shared.loops.buffers[buffer].place {
                Place::Scratch(at) => {
                    self.builder.ins().iadd_imm_s(self.scratch, (SCRATCH_HEAD as u64 + at) as i64)
                }
                _ => {
                    let offset = ((FRAME_HEAD + buffer.number()) * 8) as i32;
                    let flags = MemFlagsData::trusted().with_readonly().with_can_move();
                    self.builder.ins().load(types::I64, flags, self.frame, offset)
                }
            };
            self.bases.insert(buffer, value);
        }
    }

    pub(super) fn import(&mut self, namespace: u32, number: usize, signature: Option<Signature>) -> FuncRef {
        if let Some(&reference) = self.imported.get(&(namespace, number)) {
            return reference;
        }
        let signature = signature.unwrap_or_else(|| self.shared.unit.symbols[number].signature.clone());
        let signature = self.builder.import_signature(signature);
        let name = UserExternalName { namespace, index: number as u32 };
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let data = ExtFuncData { name, signature, colocated: false, patchable: false };
        let reference = self.builder.import_function(data);
        self.imported.insert((namespace, number), reference);
        reference
    }

    /// Calls a function of the host.
    pub(super) fn host(
        &mut self,
        name: &str,
        params: &[types::Type],
        result: Option<types::Type>,
        args: &[Value],
    ) -> Option<Value> {
        let signature = self.shared.signature(params, result);
        let number = self.shared.host(name, signature);
        let reference = self.import(0, number, None);
        let call = self.builder.ins().call(reference, args);
        self.builder.inst_results(call).first().copied()
    }

    fn fail_if(&mut self, failed: Value) {
        self.fails = true;
        let on = self.builder.create_block();
        self.builder.ins().brif(failed, self.failed, &[], on, &[]);
        self.builder.switch_to_block(on);
        self.builder.seal_block(on);
    }

    fn list(&mut self, list: &[Stmt]) {
        list.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(value, op) => {
                let ty = self.shared.loops.values[*value];
                let result = self.op(ty, op);
                self.define(*value, result);
                if let Op::Const(number) = op
                    && self.shared.assigned[value] == 1
                {
                    self.constants.insert(*value, *number);
                }
            }
            Stmt::Store(address, value) => {
                let ty = self.ty(*value);
                let value = self.value(*value);
                self.store(ty, address, value);
            }
            Stmt::For(looped) if looped.parallel => self.parallel(looped),
            Stmt::For(looped) => {
                let mut start = self.builder.ins().iconst(types::I64, looped.start);
                let mut end = self.builder.ins().iconst(types::I64, looped.end);
                if looped.from.is_none() && looped.to.is_none() {
                    return self.run(looped, start, end);
                }
                if let Some(from) = looped.from {
                    let from = self.value(from);
                    start = self.builder.ins().smax(start, from);
                }
                if let Some(to) = looped.to {
                    let to = self.value(to);
                    end = self.builder.ins().smin(end, to);
                }
                let (some, none) = (self.builder.create_block(), self.builder.create_block());
                let runs = self.builder.ins().icmp(IntCC::SignedLessThan, start, end);
                self.builder.ins().brif(runs, some, &[], none, &[]);
                self.builder.switch_to_block(some);
                self.builder.seal_block(some);
                self.run(looped, start, end);
                self.builder.ins().jump(none, &[]);
                self.builder.switch_to_block(none);
                self.builder.seal_block(none);
            }
            Stmt::If(condition, then, otherwise) => {
                let condition = self.value(*condition);
                let blocks = [(); 3].map(|()| self.builder.create_block());
                self.builder.ins().brif(condition, blocks[0], &[], blocks[1], &[]);
                for (block, list) in [(blocks[0], then), (blocks[1], otherwise)] {
                    self.builder.switch_to_block(block);
                    self.builder.seal_block(block);
                    self.list(list);
                    self.builder.ins().jump(blocks[2], &[]);
                }
                self.builder.switch_to_block(blocks[2]);
                self.builder.seal_block(blocks[2]);
            }
            Stmt::Gemm(gemm, addresses, wanted) => {
                let bytes = self.shared.loops.gemms[*gemm].dtype.bytes();
                let number = self.builder.ins().iconst(types::I64, i64::from(gemm.0));
                let [a, b, c] = addresses.each_ref().map(|address| self.whole_pointer(address, bytes));
                let wanted = match wanted {
                    Some(address) => self.whole_pointer(address, DType::Bool.bytes()),
                    None => self.builder.ins().iconst(types::I64, 0),
                };
                if self.alone {
                    let args = [self.frame, self.scratch, number, a, b, c, wanted];
                    self.host("einc_gemm_alone", &[types::I64; 7], None, &args);
                } else {
                    let args = [self.frame, number, a, b, c, wanted];
                    self.host("einc_gemm", &[types::I64; 6], None, &args);
                }
            }
            Stmt::Permute(permute, addresses) => {
                let bytes = self.shared.loops.permutes[*permute].dtype.bytes();
                let number = self.builder.ins().iconst(types::I64, i64::from(permute.0));
                let [from, to] = addresses.each_ref().map(|address| self.whole_pointer(address, bytes));
                self.host("einc_permute", &[types::I64; 4], None, &[self.frame, number, from, to]);
            }
            Stmt::Fourier(id, addresses) => {
                let dtypes = self.shared.loops.fouriers[*id].dtypes();
                let number = self.builder.ins().iconst(types::I64, i64::from(id.0));
                let mut arguments = vec![self.frame, number];
                for (address, dtype) in addresses.iter().zip(dtypes) {
                    arguments.push(self.whole_pointer(address, dtype.bytes()));
                }
                // A transform may have no factors.
                if arguments.len() == 5 {
                    arguments.insert(3, number);
                }
                self.host("einc_fourier", &[types::I64; 6], None, &arguments);
            }
            Stmt::Map(map) => {
                let bytes = map.dtype.bytes();
                let (from, to) = (self.whole_pointer(&map.from, bytes), self.whole_pointer(&map.to, bytes));
                let len = self.builder.ins().iconst(types::I64, map.len as i64);
                match map.function {
                    Mapped::Unary(function) => {
                        let name = format!("einc_many_{}_{}", function.name(), map.dtype);
                        self.host(&name, &[types::I64; 3], None, &[from, to, len]);
                    }
                    Mapped::Power(exponent) => {
                        let exponent = self.builder.ins().f64const(exponent);
                        let parameters = [types::I64, types::I64, types::I64, types::F64];
                        self.host("einc_many_**_f32", &parameters, None, &[from, to, len, exponent]);
                    }
                }
            }
            Stmt::Fold(value, fold) => {
                let from = self.whole_pointer(&fold.from, fold.dtype.bytes());
                let len = self.builder.ins().iconst(types::I64, fold.len as i64);
                let name = format!("einc_many_{}_{}", fold.op.name(), fold.dtype);
                let ty = match (fold.op, fold.dtype) {
                    (ReduceOp::ArgMax | ReduceOp::ArgMin, _) => types::I64,
                    (_, DType::F32) => types::F32,
                    _ => types::F64,
                };
                let result = self.host(&name, &[types::I64; 2], Some(ty), &[from, len]);
                self.define(*value, result.expect("the function has a result"));
            }
            Stmt::FoldRows(fold) => {
                let bytes = fold.dtype.bytes();
                let (from, to) = (self.whole_pointer(&fold.from, bytes), self.whole_pointer(&fold.to, bytes));
                let [stride, rows, len] = [fold.stride, fold.rows as i64, fold.len as i64]
                    .map(|number| self.builder.ins().iconst(types::I64, number));
                let name = format!("einc_many_rows_{}_{}", fold.op.name(), fold.dtype);
                self.host(&name, &[types::I64; 5], None, &[from, stride, rows, to, len]);
            }
            Stmt::Sort(sort) => {
                let row = self.whole_pointer(&sort.row, sort.dtype.bytes());
                let positions = self.whole_pointer(&sort.positions, DType::I64.bytes());
                let len = self.builder.ins().iconst(types::I64, sort.len as i64);
                let take = self.builder.ins().iconst(types::I64, sort.take as i64);
                let order = if sort.descending { "descending" } else { "ascending" };
                let name = format!("einc_sort_{order}_{}", sort.dtype);
                self.host(&name, &[types::I64; 4], None, &[row, positions, len, take]);
            }
            Stmt::Check(value, extent, site) => {
                let value = self.value(*value);
                let end = self.builder.ins().iconst(types::I64, *extent as i64);
                let fits = self.builder.ins().icmp(IntCC::UnsignedLessThan, value, end);
                let (bad, on) = (self.builder.create_block(), self.builder.create_block());
                self.builder.ins().brif(fits, on, &[], bad, &[]);
                self.builder.switch_to_block(bad);
                self.builder.seal_block(bad);
                self.builder.set_cold_block(bad);
                let site = self.builder.ins().iconst(types::I64, i64::from(site.0));
                self.builder.ins().store(MemFlagsData::trusted(), site, self.scratch, 0);
                self.builder.ins().store(MemFlagsData::trusted(), value, self.scratch, 8);
                self.builder.ins().jump(self.failed, &[]);
                self.fails = true;
                self.builder.switch_to_block(on);
                self.builder.seal_block(on);
            }
        }
    }

    /// A loop that runs at least once.
    fn run(&mut self, looped: &For, start: Value, end: Value) {
        let variable = self.builder.declare_var(types::I64);
        self.builder.def_var(variable, start);
        self.vars.push((looped.var, variable));
        let (body, after) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().jump(body, &[]);
        self.builder.switch_to_block(body);
        self.list(&looped.body);
        let now = self.builder.use_var(variable);
        let next = self.builder.ins().iadd_imm_s(now, looped.step);
        self.builder.def_var(variable, next);
        let again = self.builder.ins().icmp(IntCC::SignedLessThan, next, end);
        self.builder.ins().brif(again, body, &[], after, &[]);
        self.builder.seal_block(body);
        self.builder.seal_block(after);
        self.builder.switch_to_block(after);
        self.vars.pop();
    }

    /// Has the host run parts of a loop on several threads.
    fn parallel(&mut self, looped: &For) {
        let outer: Vec<(VarId, Variable)> = self.vars.clone();
        for (depth, (_, variable)) in outer.iter().enumerate() {
            let value = self.builder.use_var(*variable);
            let offset = self.var_slot(depth);
            self.builder.ins().store(MemFlagsData::trusted(), value, self.frame, offset);
        }
        let part = self.parts.len();
        self.parts.push((looped.clone(), outer.iter().map(|var| var.0).collect()));
        let signature = self.shared.signature(&[types::I64; 4], Some(types::I32));
        let reference = self.import(1, part, Some(signature));
        let code = self.builder.ins().func_addr(types::I64, reference);
        let [start, end, step] =
            [looped.start, looped.end, looped.step].map(|v| self.builder.ins().iconst(types::I64, v));
        let args = [self.frame, self.scratch, code, start, end, step];
        let failed = match looped.shared {
            None => self.host("einc_parallel", &[types::I64; 6], Some(types::I32), &args),
            Some(buffer) => {
                let bytes = self.shared.loops.buffers[buffer].bytes();
                let bytes = self.builder.ins().iconst(types::I64, bytes as i64);
                let args = [&args[..], &[self.bases[&buffer], bytes]].concat();
                self.host("einc_shared", &[types::I64; 8], Some(types::I32), &args)
            }
        };
        let failed = failed.expect("the function has a result");
        self.fail_if(failed);
    }

    pub(super) fn ty(&self, value: ValueId) -> Type {
        self.shared.loops.values[value]
    }

    pub(super) fn value(&mut self, value: ValueId) -> Value {
        match self.registers.get(&value) {
            Some(&variable) => self.builder.use_var(variable),
            None => self.values[&value],
        }
    }

    fn define(&mut self, value: ValueId, result: Value) {
        if self.shared.assigned[&value] == 1 {
            self.values.insert(value, result);
            return;
        }
        let variable = match self.registers.get(&value) {
            Some(&variable) => variable,
            None => {
                let ty = self.builder.func.dfg.value_type(result);
                let variable = self.builder.declare_var(ty);
                self.registers.insert(value, variable);
                variable
            }
        };
        self.builder.def_var(variable, result);
    }

    /// `offset + sum of stride * variable`, times `bytes`, without the offset. Outer variables come first, so that
    /// their part leaves the inner loops.
    pub(super) fn affine(
        &mut self,
        terms: &[(VarId, i64)],
        bytes: i64,
        mut sum: Option<Value>,
    ) -> Option<Value> {
        let vars = self.vars.clone();
        for (var, variable) in vars {
            let Some(&(_, stride)) = terms.iter().find(|term| term.0 == var) else { continue };
            let value = self.builder.use_var(variable);
            let by = stride.wrapping_mul(bytes);
            let part = if by == 1 { value } else { self.builder.ins().imul_imm_s(value, by) };
            sum = Some(match sum {
                None => part,
                Some(sum) => self.builder.ins().iadd(sum, part),
            });
        }
        sum
    }

    /// The address of an access: a pointer and a constant number of bytes.
    pub(super) fn pointer(&mut self, address: &Address, bytes: usize) -> (Value, i32) {
        let bytes = bytes as i64;
        let base = self.bases[&address.buffer];
        let mut pointer = self.affine(&address.terms, bytes, Some(base)).unwrap_or(base);
        if let Some(value) = address.dynamic {
            let value = self.value(value);
            let part = self.builder.ins().imul_imm_s(value, bytes);
            pointer = self.builder.ins().iadd(pointer, part);
        }
        let offset = address.offset.wrapping_mul(bytes);
        match i32::try_from(offset) {
            Ok(offset) if offset < i32::MAX - 64 => (pointer, offset),
            _ => (self.builder.ins().iadd_imm_s(pointer, offset), 0),
        }
    }

    fn whole_pointer(&mut self, address: &Address, bytes: usize) -> Value {
        let (pointer, offset) = self.pointer(address, bytes);
        self.builder.ins().iadd_imm_s(pointer, i64::from(offset))
    }

    /// How memory behind an address may be read. What nobody writes may be read earlier than written, if the address
    /// is inside for every value of the loop variables.
    pub(super) fn load_flags(&self, address: &Address) -> MemFlagsData {
        let flags = MemFlagsData::new().with_notrap();
        match self.shared.loops.buffers[address.buffer].place {
            Place::Input(_) | Place::Constant(_) if address.dynamic.is_none() => {
                flags.with_readonly().with_can_move()
            }
            _ => flags,
        }
    }
}

fn collect_buffers(list: &[Stmt], used: &mut std::collections::BTreeSet<BufferId>) {
    for stmt in list {
        match stmt {
            Stmt::Let(_, Op::Load(_, address)) | Stmt::Store(address, _) => {
                used.insert(address.buffer);
            }
            Stmt::Gemm(_, addresses, wanted) => {
                used.extend(addresses.iter().chain(wanted).map(|address| address.buffer));
            }
            Stmt::Permute(_, addresses) => used.extend(addresses.iter().map(|address| address.buffer)),
            Stmt::Fourier(_, addresses) => used.extend(addresses.iter().map(|address| address.buffer)),
            Stmt::Sort(sort) => used.extend([sort.row.buffer, sort.positions.buffer]),
            Stmt::Map(map) => used.extend([map.from.buffer, map.to.buffer]),
            Stmt::FoldRows(fold) => used.extend([fold.from.buffer, fold.to.buffer]),
            Stmt::Fold(_, fold) => {
                used.insert(fold.from.buffer);
            }
            Stmt::For(looped) if !looped.parallel => collect_buffers(&looped.body, used),
            Stmt::For(looped) => used.extend(looped.shared),
            Stmt::If(_, then, otherwise) => {
                collect_buffers(then, used);
                collect_buffers(otherwise, used);
            }
            _ => {}
        }
    }
}
