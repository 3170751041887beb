/* SPDX-License-Identifier: Apache-2.0 */
/* Code about whose frames nothing is said: with a frame pointer, and without. */
	.text
	.globl	call_with_frame
	.type	call_with_frame, @function
call_with_frame:
	push	%rbp
	mov	%rsp, %rbp
	sub	$64, %rsp
	call	*%rdi
	leave
	ret
	.size	call_with_frame, . - call_with_frame

	.globl	call_without_frame
	.type	call_without_frame, @function
call_without_frame:
	sub	$72, %rsp
	xor	%ebp, %ebp
	call	*%rdi
	add	$72, %rsp
	ret
	.size	call_without_frame, . - call_without_frame
	.section .note.GNU-stack, "", @progbits
